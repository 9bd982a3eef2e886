"""The engine's core, the commands it obeys, and what a user interface sees of it."""
