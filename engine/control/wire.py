"""Commands and answers as JSON for the control socket: strict in, Decimals as text out."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from decimal import Decimal
from enum import Enum
from typing import Any

from engine.api import API_VERSION, Command, Ticket
from engine.domain.money import AmountError, amount, plain
from engine.errors import UsageError

COMMANDS: dict[str, Any] = {cls.__name__: cls for cls in typing.get_args(Command)}


def to_json(value: Any) -> Any:
    """Turn values into what JSON can carry: dataclasses become objects, Decimals plain texts."""
    if value is None or (isinstance(value, (str, int, float, bool)) and not isinstance(value, Enum)):
        return value
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, Enum):
        return value.value
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_json(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json(item) for item in value]
    raise TypeError(f"{type(value).__name__} cannot be sent as JSON")


def pack_command(command: Command) -> dict[str, Any]:
    """Return a command as the object the socket takes."""
    return {"version": API_VERSION, "command": type(command).__name__, "fields": to_json(command)}


def unpack_command(message: Any) -> Command:
    """Read a command; UsageError names what is wrong with it."""
    if not isinstance(message, dict) or message.get("version") != API_VERSION:
        raise UsageError(f"The engine speaks version {API_VERSION} of its protocol; use the same quarterdeck for both.")
    cls = COMMANDS.get(str(message.get("command")))
    if cls is None:
        raise UsageError(
            f"No command {_short(message.get('command'))}; there are {len(COMMANDS)}, such as Halt and Query."
        )
    return _read(cls, message.get("fields"))


def _read(cls: type[Any], data: Any) -> Any:
    if not isinstance(data, dict):
        raise UsageError(f"{cls.__name__} needs an object of fields.")
    hints = typing.get_type_hints(cls)
    unknown = sorted(set(data) - set(hints))
    if unknown:
        raise UsageError(f"{cls.__name__} has no field {_short(unknown[0])}; it has: {', '.join(hints)}.")
    values = {}
    for field in fields(cls):
        if field.name in data:
            values[field.name] = _value(hints[field.name], data[field.name], f"{cls.__name__}.{field.name}")
        elif field.default is MISSING and field.default_factory is MISSING:
            raise UsageError(f"{cls.__name__} needs {field.name}.")
    return cls(**values)


def _value(hint: Any, data: Any, where: str) -> Any:
    if isinstance(hint, types.UnionType):
        return None if data is None else _value(typing.get_args(hint)[0], data, where)
    if hint is Ticket:
        return _read(Ticket, data)
    if typing.get_origin(hint) is not None:
        if isinstance(data, dict) and all(isinstance(v, str) for v in data.values()):
            return data
        raise UsageError(f"{where} must be an object of texts.")
    return _scalar(hint, data, where)


def _scalar(hint: Any, data: Any, where: str) -> Any:
    try:
        if hint is Decimal and isinstance(data, str):
            return amount(data)
        if isinstance(hint, type) and issubclass(hint, Enum):
            return hint(data)
    except (AmountError, ValueError) as error:
        raise UsageError(f"{where}: {error}.") from None
    if type(data) is hint:
        return data
    raise UsageError(f"{where} must be {getattr(hint, '__name__', hint)}, not {_short(data)}.")


def _short(data: Any) -> str:
    """Quote what was sent, cut to what a sentence can hold."""
    shown = repr(data)
    return shown if len(shown) <= 60 else shown[:57] + "..."
