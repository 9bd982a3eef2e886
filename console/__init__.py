"""The process and its shell: the command line, the Textual app, keys, palette and theme."""
