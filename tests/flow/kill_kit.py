"""Lives of a paper engine on one store, and what must hold between and after them (see kill_child for the lives)."""

from __future__ import annotations

import contextlib
import json
import math
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from engine.domain.order import OrderStatus
from engine.paths import StorePaths
from engine.runtime import verify
from engine.store.database import is_begun
from tests.flow.pty_kit import ROOT, Desk, waves

KILLED = -signal.SIGKILL
BARS = 6_000
DEADLINE_S = 60.0
NEVER_THERE = {"NOT_SENT", "REJECTED"}
IN_DOUBT = {"INTENT_RECORDED", "UNKNOWN", "CANCEL_PENDING"}


class Nursery:
    """The process that lives are forked from."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.flow.kill_child"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True, env=dict(os.environ),
        )  # fmt: skip

    def ask(self, question: dict[str, Any]) -> Any:
        """Put a question and return its answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        """End it, and every life it still has."""
        with self._process:
            assert self._process.stdin is not None
            self._process.stdin.close()
            self._process.wait(10)


@dataclass(frozen=True, slots=True)
class Life:
    """One process with an engine in it."""

    nursery: Nursery
    pid: int
    out: Path

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def ended(self, within_s: float = DEADLINE_S) -> int:
        """Wait for its end; return the exit code, negative when a signal killed it."""
        code = self.nursery.ask({"wait": self.pid, "within_s": within_s})
        assert code is not None, f"it still runs after {within_s:g} s"
        return code

    @property
    def said(self) -> str:
        """What it has printed."""
        return self.out.read_text()

    @property
    def points(self) -> dict[str, int]:
        """How often it reached each point; it must have ended by itself."""
        return json.loads(self.said.splitlines()[-1])


class Rig:
    """One store and the lives on it. store: a place of its own for it, when it is not to lie in the folder."""

    def __init__(self, nursery: Nursery, folder: Path, closes: Sequence[float] | None = None) -> None:
        folder.mkdir(exist_ok=True)
        self.nursery, self.folder = nursery, folder
        self.desk = Desk(folder, closes or waves(BARS), "quick", "second")
        self.creates = folder / "creates"
        self._lives = 0
        self._rows = 0

    @property
    def store(self) -> Path:
        """The store's directory."""
        return self.desk.store

    def start(self, **told: object) -> Life:
        """Start a life; told: see kill_child."""
        self._lives += 1
        out, desk = self.folder / f"out{self._lives}", self.desk
        files = {
            "store": desk.store, "config": desk.config, "recording": desk.recording, "out": out,
            "creates": self.creates,
        }  # fmt: skip
        words = {name: str(word) for name, word in (files | told).items()}
        return Life(self.nursery, self.nursery.ask({"run": words}), out)

    def live(self, **told: object) -> dict[str, int]:
        """Live a life that must end well; return how often it reached each point."""
        life = self.start(**told)
        assert life.ended() == 0, life.said
        return life.points

    def die(self, at: str, **told: object) -> None:
        """Live a life that must kill itself at a point, and look at what it left."""
        life = self.start(at=at, **told)
        assert life.ended() == KILLED, f"{at} was not reached: {life.said[-3000:]}"
        self.check_corpse()

    def die_at_random(self, rng: random.Random, points: int = 2_500) -> str:
        """Live a life that is killed at a random point of its work, or at a random moment; return which."""
        if rng.random() < 0.6:
            at = f"*@{int(math.exp(rng.uniform(0, math.log(points))))}"
            self.die(at, do=f"cancel-all@{rng.randint(1, 40)}" if rng.random() < 0.3 else "")
            return at
        life, wait_s = self.start(), rng.uniform(0, 0.6)
        time.sleep(wait_s)
        life.signal(signal.SIGKILL)
        assert life.ended() == KILLED, life.said[-3000:]
        self.check_corpse()
        return f"{wait_s:.3f} s"

    def copy(self, name: str) -> Rig:
        """Return the same store, with all that led to it, in another place."""
        other = Rig.__new__(Rig)
        other.__dict__.update(self.__dict__)
        other.folder = self.folder.with_name(name)
        shutil.copytree(self.folder, other.folder, ignore=lambda _folder, names: [n for n in names if "sock" in n])
        other.desk = Desk.__new__(Desk)
        other.desk.__dict__.update(self.desk.__dict__, home=other.folder, store=other.folder / "s", _consoles=[])
        other.creates = other.folder / "creates"
        return other

    # -- what must hold --------------------------------------------------------------------------------------------

    def check_corpse(self) -> None:
        """After any end at all: a sound journal that lost no row, and nothing at the venue that it does not know."""
        if not is_begun(StorePaths(self.store)):
            assert self.created() == []
            return
        report = verify(self.store)
        assert report.first_breach is None
        assert report.rows >= self._rows
        self._rows = report.rows
        known = {order["client_order_id"] for order in self.desk.ask("orders")}
        creates = self.created()
        assert len(creates) == len(set(creates)), "an intent was sent twice (O4)"
        assert set(creates) <= known, "something was sent before it was written down (O2)"
        assert self.at_venue().keys() <= known, "the venue has an order that no intent made (O1)"
        trades = {row[0] for row in self._venue("SELECT trade_id FROM fills")}
        assert {fill["trade_id"] for fill in self.desk.ask("fills")} <= trades, "a fill that never was (L4)"

    def check_settled(self) -> None:
        """After a recovery and a good end: journal and venue say the same of every order, fill and balance."""
        self.check_corpse()
        self.desk.check_books()
        venue = self.at_venue()
        for order in self.desk.ask("orders"):
            order_id, status = order["client_order_id"], order["status"]
            if status == "INTENT_RECORDED" and venue.get(order_id) == "SUBMITTING":
                continue  # protection of an entry that rests: told of with the entry's first fill
            assert status not in IN_DOUBT, order
            assert (order_id in venue) == (status not in NEVER_THERE), order
            assert status in NEVER_THERE or status == shown_as(venue[order_id]), (order, venue[order_id])
        there, here = "SELECT asset, total FROM balances", "SELECT asset, held FROM balances"
        assert _money(self._journal(here)) == _money(self._venue(there))
        open_differences = [row for row in self.desk.ask("differences") if not row["closed"]]
        assert open_differences == []

    def created(self) -> list[str]:
        """Return the ids of all creates that left, in order."""
        return self.creates.read_text().split() if self.creates.exists() else []

    def at_venue(self) -> dict[str, str]:
        """Return the state of every order the venue knows."""
        return dict(self._venue("SELECT client_order_id, status FROM orders"))

    def summary(self) -> Any:
        """Return what the store adds up to, whenever it was written and however often it was recovered."""
        orders = {order["client_order_id"]: (order["status"], order["filled_qty"]) for order in self.desk.ask("orders")}
        fills = sorted((fill["trade_id"], fill["qty"], fill["price"]) for fill in self.desk.ask("fills"))
        return orders, fills, self._journal("SELECT asset, held, fees FROM balances ORDER BY asset"), self.at_venue()

    def state(self) -> str:
        """Return the trading state the store was left in."""
        return self.desk.ask("status")["state"]

    def _venue(self, sql: str) -> list[Any]:
        return _rows(StorePaths(self.store).paper_db, sql)

    def _journal(self, sql: str) -> list[Any]:
        return _rows(StorePaths(self.store).store_db, sql)


def shown_as(status: str) -> str:
    """Return the journal's word for the venue's: protection that waits for its entry was never told of."""
    return "SUBMITTING" if status == "SUBMITTING" else OrderStatus(status).value


def _money(rows: Sequence[tuple[str, str]]) -> dict[str, Decimal]:
    return {asset: Decimal(text) for asset, text in rows if Decimal(text)}


def _rows(path: Path, sql: str) -> list[Any]:
    if not path.exists():
        return []
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        if not database.execute("SELECT 1 FROM sqlite_master WHERE type = 'table'").fetchone():
            return []
        return database.execute(sql).fetchall()
