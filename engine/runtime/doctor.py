"""`quarterdeck doctor`: what works here, what is missing, and how to get it; nothing leaves the machine."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from engine.clock import SystemClock, iso
from engine.config import prices_of
from engine.errors import UsageError
from engine.keys import FILE_NAME, Keychain, keyring_problem
from engine.paths import config_dir, default_store
from engine.store.places import place_of

Check = dict[str, str]
LIBRARIES = ("textual", "rich", "sqlite-utils", "aiosqlite", "ccxt", "anthropic", "openai", "APScheduler", "keyring",
             "TA-Lib", "numpy", "aiohttp", "click", "exchange_calendars")  # fmt: skip
FREE_MB_MIN = 500


def doctor() -> list[Check]:
    """Return one row a check: check, state (ok, missing or note), found, advice."""
    return [
        _python(),
        *(_library(name) for name in LIBRARIES),
        *_terminal(),
        _store(default_store()),
        _config(config_dir()),
        _prices(config_dir()),
        _disk(default_store()),
        _file_system(default_store()),
        _keyring(),
        _key_file(config_dir()),
    ]


def _row(check: str, ok: bool, found: str, advice: str, *, bad: str = "missing") -> Check:
    return {"check": check, "state": "ok" if ok else bad, "found": found, "advice": "" if ok else advice}


def _python() -> Check:
    version = sys.version.split()[0]
    return _row("Python", sys.version_info >= (3, 11), version, "install Python 3.11 or newer")


def _library(name: str) -> Check:
    try:
        return _row(name, True, metadata.version(name), "")
    except metadata.PackageNotFoundError:
        return _row(name, False, "not installed", "install again: make demo, or pipx install .")


def _terminal() -> Iterator[Check]:
    size = shutil.get_terminal_size()
    fits = size.columns >= 80 and size.lines >= 24
    yield _row("terminal size", fits, f"{size.columns}x{size.lines}", "make the window 80x24 or larger", bad="note")
    term = os.environ.get("TERM", "")
    yield _row(
        "TERM", term not in ("", "dumb"), term or "not set", "use the CLI verbs: status, halt, flatten", bad="note"
    )
    encoding = (sys.stdout.encoding or "").lower()
    yield _row("UTF-8", "utf" in encoding, encoding or "none", "set LANG to a UTF-8 locale", bad="note")
    colours = os.environ.get("COLORTERM", "")
    found = colours or "256 or fewer"
    yield _row("colours", bool(colours), found, "states are words too, so nothing is lost", bad="note")


def _store(path: Path) -> Check:
    if not path.exists():
        return _row("store", True, f"{path} (made at the first start)", "")
    mode = path.stat().st_mode & 0o777
    return _row("store", mode == 0o700, f"{path} mode {mode:04o}", f"chmod 700 {path}")


def _config(path: Path) -> Check:
    return _row("configuration", path.is_dir(), str(path), "quarterdeck init writes annotated files", bad="note")


def _prices(folder: Path) -> Check:
    try:
        prices = prices_of(folder, os.environ)
    except UsageError as error:
        return _row("model prices", False, str(error)[:160], "correct that line", bad="note")
    dated = f"of {iso(prices.dated_ms)[:10]}" if prices.dated_ms is not None else "of no day"
    found = f"{len(prices.lines)} models, {dated}; {len(prices.estimates)} estimates of the environment"
    old = prices.warning(SystemClock().now_ms())
    advice = old or "only language models need prices; quarterdeck init writes some"
    fresh = bool(prices.lines or prices.estimates) and not old
    return _row("model prices", fresh, found, advice, bad="note")


def _disk(path: Path) -> Check:
    there = next((folder for folder in (path, *path.parents) if folder.exists()), Path("/"))
    free_mb = shutil.disk_usage(there).free // 1_000_000
    return _row("disk", free_mb >= FREE_MB_MIN, f"{free_mb} MB free", f"free at least {FREE_MB_MIN} MB")


def _file_system(path: Path) -> Check:
    place = place_of(path)
    advice = "keep the store on a local disk" if place.problem else ""
    return _row("file system", not place.problem, place.problem or f"{place.kind} at {place.mount}", advice, bad="note")


def _keyring() -> Check:
    problem = keyring_problem()
    advice = "only language models need keys; without a keyring `quarterdeck keys set --file` seals them in a file"
    return _row("keyring", not problem, problem.partition(";")[0][:120] or "keeps secrets", advice, bad="note")


def _key_file(folder: Path) -> Check:
    try:
        names = Keychain(folder).key_file().names()
    except UsageError as error:
        return _row("key file", False, FILE_NAME, str(error)[:160])
    found = f"{len(names)} entries, sealed" if names else "none; `quarterdeck keys set --file` makes one"
    return _row("key file", True, found, "")
