def is_open(calendar: str, ts_ms: int) -> bool | None:
    return True
