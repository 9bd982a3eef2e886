"""Halt a store whatever else works: needs no configuration, no agent and no answer (R19, U10)."""

from __future__ import annotations

import os
from pathlib import Path

from engine.api import CancelAll, Flatten, Halt, Reply
from engine.clock import SystemClock
from engine.control.link import send_over
from engine.domain.events import StateChanged
from engine.domain.market import SourceKind
from engine.domain.policy import TradingState
from engine.errors import StoreLockedError
from engine.paths import StorePaths
from engine.runtime.link import connect
from engine.runtime.stores import there
from engine.store.files import open_private
from engine.store.journal import Journal
from engine.store.lock import lock_owner

ANSWER_WITHIN_S = 2.0
HALTED = {"trading_state": TradingState.HALTED.value}


def halt(store: Path, order: Halt, within_s: float = ANSWER_WITHIN_S) -> Reply:
    """Halt the engine that has the store, or the store itself; where neither answers, the HALT file does it.

    Raises UsageError when there is no store, and StoreError when not even the file can be written.
    """
    paths = there(store)
    try:
        if lock_owner(paths) is None:
            return _halt_store(paths, order)
        reply = send_over(paths.socket, order, within_s)
        return reply if reply.ok else _leave_file(paths, order, reply.text)
    except StoreLockedError:
        return _leave_file(paths, order, f"The engine that has {store} gave no answer within {within_s:g} s.")
    except Exception as error:  # whatever fails, the file can still be written
        return _leave_file(paths, order, str(error) or type(error).__name__)


def carry_out(store: Path, order: CancelAll | Flatten, within_s: float = ANSWER_WITHIN_S) -> Reply:
    """Have the store's engine cancel or close, or be it; one that gives no answer is halted by the HALT file (U10).

    What cannot be asked of it is not done behind its back: the venue is its own while it has the lock (R19). Raises
    StoreLockedError once the file is written, UsageError when there is no store, and StoreError when not even the file
    can be written.
    """
    paths = there(store)
    try:
        with connect(store, anyway=True, within_s=within_s) as client:
            return client.send(order)
    except StoreLockedError:
        why = f"The engine that has {store} gave no answer within {within_s:g} s."
        left = _leave_file(paths, Halt(actor=order.actor, reason="it gave no answer to a stronger command"), why)
        again = "cancel-all" if isinstance(order, CancelAll) else "flatten"
        text = (
            f"{left.text} Nothing was canceled or closed: ask for `quarterdeck {again}` again once it moves, or end "
            "it: then this command does the work itself. What it has heard already it may still carry out."
        )
        raise StoreLockedError(text) from None


def _halt_store(paths: StorePaths, order: Halt) -> Reply:
    journal = Journal.open(paths)
    try:
        books = journal.books
        if books.state is TradingState.HALTED:
            return Reply(ok=True, text="HALTED already.", data=HALTED)
        replayed = books.genesis is not None and books.genesis.source_kind == SourceKind.REPLAY.value
        change = StateChanged(state=TradingState.HALTED, actor=order.actor, reason=order.reason)
        # a recording's store has the recording's time
        journal.record(books.last_ts_ms if replayed else SystemClock().now_ms(), change)
    finally:
        journal.close()
    return Reply(ok=True, text="HALTED: no engine is running, and the next one will start halted.", data=HALTED)


def _leave_file(paths: StorePaths, order: Halt, why: str) -> Reply:
    latch = open_private(paths.halt_latch)
    try:
        os.pwrite(latch, f"{order.actor}: {order.reason}\n".encode(), 0)
        os.fsync(latch)
    finally:
        os.close(latch)
    text = (
        f"{why} So the file {paths.halt_latch} was written: while it lies there nothing that adds exposure leaves, and "
        "an engine that moves again halts. Remove it before you resume."
    )
    return Reply(ok=True, text=text, data=HALTED | {"latch_file": str(paths.halt_latch)})
