"""Operations: what looks after an engine rather than trades."""
