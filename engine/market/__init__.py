"""Market data: feeds, recordings, indicators, and the state they add up to."""
