"""The one SQLite store: journal, tables, proof."""
