"""The commands, one module for each group of them; console.cli imports a module when one of its commands is called."""
