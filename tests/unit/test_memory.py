"""The trade digest, folded from fills: worked figures, and any order of ordinary fills adds up."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from engine.agents.digest import digest, performance
from engine.domain.decision import Direction, Disposition
from engine.domain.events import CycleItem
from engine.domain.memory import DECISIONS_KEPT, TRADES_KEPT, Memory
from engine.domain.money import ZERO
from engine.domain.order import Side
from engine.domain.portfolio import Position
from tests.unit.desk_kit import BTC, START_MS, fill_of

D = Decimal
HOUR_MS = 3_600_000


class Desk:
    """One agent's position in one coin, and the memory of it."""

    def __init__(self) -> None:
        self.memory, self.position, self.now_ms, self.fills = Memory(), Position("a", BTC.key), START_MS, 0

    def trade(self, qty: str, price: str, fee: str = "0") -> None:
        self.now_ms += HOUR_MS
        self.fills += 1
        signed = D(qty)
        fill = fill_of(
            "o", f"t{self.fills}", side=Side.BUY if signed > 0 else Side.SELL, qty=abs(signed), price=D(price),
            fee=D(fee), ts_ms=self.now_ms,
        )  # fmt: skip
        before = self.position
        self.position = before.after_fill(signed, D(price), self.now_ms)
        self.memory.filled(before, self.position, fill, BTC)

    def decide(self, disposition: Disposition = Disposition.ACTED) -> None:
        item = CycleItem(
            BTC.key, Direction.BUY, disposition, ZERO, D(1), D("0.8"), D(100), self.now_ms, "why " * 100, "", "", ()
        )
        self.memory.decided(self.now_ms, "a", (item,))


def test_a_won_and_a_lost_trip_give_the_digest_worked_out_by_hand() -> None:
    desk = Desk()
    desk.trade("1", "100", "0.1")
    desk.trade("1", "110", "0.1")
    desk.trade("-2", "120", "0.2")  # 2*120 - 210 = 30, less 0.4 of fees
    desk.trade("1", "120")
    desk.trade("-1", "100")  # -20
    (entry,) = digest(desk.memory, "a", (BTC.key,))
    assert (entry.trade_count, entry.win_rate) == (2, 0.5)
    assert entry.realized_pnl == D("9.6")
    assert entry.max_drawdown == D(20)
    assert entry.avg_entry_price == D(330) / 3
    assert entry.avg_holding_ms == (2 * HOUR_MS + HOUR_MS) // 2
    assert entry.last_trade_ts == desk.now_ms
    assert entry.recent_performance_score == float(D("9.6") / D("49.6"))
    told = performance(desk.memory, "a", desk.now_ms)
    assert [each.result for each in told.recent_trades] == [D("29.6"), D(-20)]
    assert (told.win_rate_30_days, told.total_pnl_30_days) == (0.5, D("9.6"))
    assert performance(desk.memory, "a", desk.now_ms + 31 * 24 * HOUR_MS).win_rate_30_days is None


def test_a_flip_ends_one_trip_and_begins_the_next_on_the_other_side() -> None:
    desk = Desk()
    desk.trade("1", "100")
    desk.trade("-3", "110")
    desk.trade("2", "100")
    trades = desk.memory.trades["a"]
    assert [(each.side, each.result) for each in trades] == [(1, D(10)), (-1, D(20))]


def test_a_decision_learns_what_its_trip_came_to_and_only_the_last_are_kept() -> None:
    desk = Desk()
    desk.decide(Disposition.REFUSED)
    desk.decide()
    desk.trade("1", "100")
    desk.trade("-1", "107")
    desk.decide()
    refused, acted, waiting = desk.memory.decisions["a"]
    assert (refused.result, acted.result, waiting.result) == (None, D(7), None)
    assert len(acted.rationale) == 160
    for _ in range(20):
        desk.decide()
    assert len(desk.memory.decisions["a"]) == DECISIONS_KEPT


@given(st.lists(st.tuples(st.sampled_from(["1", "2", "-1", "-2"]), st.integers(90, 110)), max_size=25))
def test_ended_trips_and_the_one_under_way_add_up_to_what_was_realised(trades: list[tuple[str, int]]) -> None:
    desk = Desk()
    for qty, price in trades:
        desk.trade(qty, str(price), "0.5")
    record = desk.memory.records.get(("a", BTC.key))
    fees = D("0.5") * len(trades)
    assert (record.realized + record.running if record else ZERO) == desk.position.realized - fees
    assert len(desk.memory.trades.get("a", ())) <= TRADES_KEPT
