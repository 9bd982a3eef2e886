"""What every schedule starts from: instruments, a market that stands at 100, and a store made once and copied."""

from __future__ import annotations

import shutil
import tempfile
from decimal import Decimal
from functools import cache
from pathlib import Path

from engine.domain.agent import AgentStatus
from engine.domain.events import AgentChanged, FundsMoved, Genesis, InstrumentListed, StateChanged
from engine.domain.instrument import Instrument
from engine.domain.intent import Mode
from engine.domain.market import Candle, Source, SourceKind
from engine.domain.policy import TradingState
from engine.market.state import MarketState
from engine.ops.simulate.plan import AGENTS
from engine.paths import StorePaths
from engine.store.journal import Journal

START_MS = 1_767_225_600_000
MINUTE_MS = 60_000
STORE_ID = "510a7e00"
CASH = Decimal(10_000)
PRICE = Decimal(100)
SOURCE = Source(kind=SourceKind.SIMULATED, name="simulate")


def _spec(base: str, maker_fee: str, fee_asset: str) -> Instrument:
    return Instrument(
        venue="sim", symbol=f"{base}/USDT", base=base, quote="USDT", price_tick=Decimal("0.01"),
        qty_step=Decimal("0.001"), min_notional=Decimal(5), maker_fee=Decimal(maker_fee), taker_fee=Decimal("0.001"),
        fee_asset=fee_asset,
    )  # fmt: skip


SPECS = (_spec("BTC", "-0.0001", "quote"), _spec("ETH", "0.001", "base"))
"""One with a rebate for makers and fees in quote, one with fees in base (E35)."""


@cache
def market() -> MarketState:
    """Return a market whose median price is known; nothing in a run changes it."""
    state = MarketState(MINUTE_MS)
    for minute in range(8):
        for spec in SPECS:
            opened = START_MS - (8 - minute) * MINUTE_MS
            state.on_candle(Candle(spec.key, opened, MINUTE_MS, PRICE, PRICE, PRICE, PRICE, Decimal(1), SOURCE))
    return state


def make_template(root: Path) -> StorePaths:
    """Make the store all schedules of a process begin with, through the real journal."""
    paths = StorePaths(root)
    journal = Journal.create(
        paths,
        START_MS,
        Genesis(
            store_id=STORE_ID, schema=1, mode=Mode.PAPER, source_kind="SIMULATED", account_currency="USD",
            usd_peg=("USDT",),
        ),
        FundsMoved(asset="USDT", amount=CASH, value=CASH, reason="starting cash"),
        StateChanged(state=TradingState.ACTIVE, actor="trader", reason="new store"),
        *(InstrumentListed(instrument=spec) for spec in SPECS),
        *(AgentChanged(agent=name, status=AgentStatus.RUNNING, actor="trader") for name in AGENTS),
    )  # fmt: skip
    journal.close()
    return paths


def copy_store(source: StorePaths, root: Path) -> StorePaths:
    """Copy a store's files as they are on disk now: what a killed process leaves behind."""
    root.mkdir(mode=0o700)
    wal = source.store_db.with_name("store.db-wal")
    for file in (source.store_db, wal, source.anchor, source.halt_latch):
        if file.exists():
            shutil.copyfile(file, root / file.name)
    return StorePaths(root)


def scratch() -> Path:
    """Make a directory for stores: in memory where the machine offers that, for a disk adds nothing but waiting.

    A killed process loses nothing that it has written, whether or not it reached the disk; power cuts are beyond this.
    """
    memory = Path("/dev/shm")
    return Path(tempfile.mkdtemp(prefix="quarterdeck-simulate-", dir=memory if memory.is_dir() else None))
