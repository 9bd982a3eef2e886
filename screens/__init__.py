"""Everything drawn: one file a screen; a screen knows engine.api and nothing else of the engine."""
