"""The price file as a person asks about it: from which day it is, and whether it still serves."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from engine.clock import SystemClock, iso
from engine.config import prices_of
from engine.errors import UsageError


def price_file(config_dir: Path) -> dict[str, Any]:
    """Return the file, the day its prices were looked up on, how old that is, and what to do about it, "" for nothing.

    dated and age_days are None where there is no file, or one that cannot be read, which notice then says.
    """
    try:
        prices = prices_of(config_dir, os.environ)
    except UsageError as error:
        return {"file": str(config_dir), "dated": None, "age_days": None, "notice": str(error)}
    now_ms, dated_ms = SystemClock().now_ms(), prices.dated_ms
    return {
        "file": prices.file,
        "dated": iso(dated_ms)[:10] if dated_ms is not None else None,
        "age_days": prices.age_ms(now_ms) // 86_400_000 if dated_ms is not None else None,
        "notice": prices.warning(now_ms),
    }
