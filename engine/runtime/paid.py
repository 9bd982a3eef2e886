"""The trader's side of a paid rerun: the price, a yes, and the question, by way of the engine that owns the store."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

from engine.api import AskAgain, Reply
from engine.errors import RefusedError
from engine.runtime.link import ANSWER_WITHIN_S, connect

LOADS_WITHIN_S = 10.0
"""What loading a vendor's SDK may take beside the question itself."""
Agree = Callable[[str], None]
"""Told in one sentence what a model would cost at most; raises where nobody agrees to that."""


def ask_again(store: Path, cycle: str, model: str, agree: Agree | None) -> dict[str, Any]:
    """Have the store's engine ask a cycle's question again: first for its price, then, if agreed to, in earnest.

    The store is let go of in between, for a person may take his time.
    """
    quote = _sent(store, AskAgain(cycle_id=cycle, model=model))
    if agree is None:
        raise RefusedError(f"{quote.text} Nothing was asked: nobody agreed to it.")
    agree(quote.text)
    within_s = ANSWER_WITHIN_S + LOADS_WITHIN_S + quote.data["within_ms"] / 1000
    usd_max = Decimal(quote.data["usd_max"])
    return _sent(store, AskAgain(cycle_id=cycle, model=model, usd_max=usd_max), within_s).data


def _sent(store: Path, command: AskAgain, within_s: float = ANSWER_WITHIN_S) -> Reply:
    with connect(store, within_s=within_s) as link:
        reply = link.send(command)
    if not reply.ok:
        raise RefusedError(reply.text)
    return reply
