"""When an agent runs."""
