"""Read a TOML file of the trader's: the whole file or one sentence about what is wrong with it, never a default."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from typing import Any

from engine.errors import UsageError

FILE_BYTES_MAX = 1_000_000

_SECRET_KEY = re.compile(
    r"api_?key|secret|passw|passphrase|private_?key|credential|(access|auth|bot|bearer|session)_?token|^token$",
    re.IGNORECASE,
)
_SECRET_VALUE = re.compile(
    r"^(sk-[\w-]{8,}|sk_(live|test)_\w{8,}|AKIA[0-9A-Z]{12,}|gh[pousr]_\w{16,}|xox[a-z]-[\w-]{8,}|-----BEGIN )"
)


def read_toml(path: Path) -> dict[str, Any]:
    """Return a file's tables; numbers with a point become Decimal, so that 0.1 is 0.1.

    Raises UsageError with line and column when it does not parse, and when it holds a secret.
    """
    import tomllib  # a tenth of the CLI's start, and most commands read no file

    try:
        tables = tomllib.loads(_text(path), parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path} is not valid TOML: {_place(str(error))}; correct that line.") from None
    refuse_secrets(tables, str(path))
    return tables


def _text(path: Path) -> str:
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise UsageError(
            f"{path} does not exist; check the name, or let `quarterdeck init` write files to start from."
        ) from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror}); check its permissions.") from None
    if len(raw) > FILE_BYTES_MAX:
        raise UsageError(f"{path} is larger than {FILE_BYTES_MAX} bytes; a configuration file is never that long.")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise UsageError(f"{path} is not UTF-8 text at line {line}; save it as UTF-8.") from None


def _place(message: str) -> str:
    """Turn "Expected ... (at line 3, column 5)" into "line 3, column 5: expected ..."."""
    found = re.fullmatch(r"(.*?) \(at (.*)\)", message, re.DOTALL)
    if found is None:
        return message
    what, where = found.groups()
    return f"{where}: {what[:1].lower()}{what[1:]}"


def refuse_secrets(value: object, where: str, name: str = "") -> None:
    """Refuse a key or value that looks like a secret, without repeating it (W08)."""
    if isinstance(value, dict):
        for key, inner in value.items():
            refuse_secrets(inner, where, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list):
        for inner in value:
            refuse_secrets(inner, where, name)
    elif _SECRET_KEY.search(name.rpartition(".")[2]) or (isinstance(value, str) and _SECRET_VALUE.search(value)):
        raise UsageError(
            f"{where} holds what looks like a secret in {name}; take it out, and replace that secret "
            "where it was issued if anyone else could read it."
        )
