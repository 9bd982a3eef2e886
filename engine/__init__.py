"""The trading engine: no terminal, no drawing, no user interface."""
