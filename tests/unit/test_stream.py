"""What the journal tells a user interface: every event once, in order, and a gap is said."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from decimal import Decimal

import pytest

from engine.api import StreamLine
from engine.control.stream import LINES_KEPT, Stream, lines_of
from engine.domain.agent import AgentStatus
from engine.domain.decision import AnsweredBy, Direction, Disposition, Outcome
from engine.domain.events import (
    AgentChanged,
    ApprovalClosed,
    CycleDone,
    CycleHeld,
    CycleItem,
    Event,
    Filled,
    FlattenEnded,
    FundsMoved,
    Incident,
    OrdersUpdated,
    Recorded,
    ResidualLine,
    StateChanged,
)
from engine.domain.order import OrderRole, OrderStatus
from engine.domain.policy import TradingState
from engine.domain.risk import CheckCode, RiskCheck, Verdict
from tests.unit.desk_kit import BTC, fill_of


def incident(seq: int) -> Recorded:
    return Recorded(seq, seq * 1000, Incident(code="X", text=str(seq)))


def line_of(event: Event) -> StreamLine:
    (line,) = lines_of(Recorded(7, 1000, event))
    return line


def item(**changes: object) -> CycleItem:
    fields: dict[str, object] = {
        "instrument": BTC.key, "direction": Direction.BUY, "disposition": Disposition.ACTED, "current_qty": Decimal(0),
        "target_qty": Decimal("0.2"), "confidence": Decimal("0.8"), "price": Decimal(50_000), "price_ms": 0,
        "rationale": "up", "features": "", "bound_by": "", "checks": (),
    }  # fmt: skip
    return CycleItem(**{**fields, **changes})  # type: ignore[arg-type]


def cycle(*items: CycleItem, outcome: Outcome = Outcome.DECIDED, detail: str = "") -> CycleDone:
    return CycleDone(
        cycle_id="a.1", agent="a", trigger="candle", model="m:x", outcome=outcome, answered_by=AnsweredBy.LIVE,
        detail=detail, items=items,
    )  # fmt: skip


def test_lines_after_a_seq_are_those_not_seen_yet() -> None:
    stream = Stream()
    stream.publish([incident(1), incident(2)])
    first = stream.after(0)
    stream.publish([incident(3)])
    second = stream.after(first.upto_seq)
    assert [line.seq for line in (*first.lines, *second.lines)] == [1, 2, 3]
    assert (first.gap, second.gap, second.upto_seq) == (False, False, 3)
    assert stream.after(3).lines == ()


def test_rows_without_a_line_move_the_seq_all_the_same() -> None:
    stream = Stream()
    stream.publish([Recorded(1, 0, CycleHeld(agent="a", items="x=y"))])
    assert stream.after(0).upto_seq == 1
    assert stream.after(0).lines == ()


def test_reader_that_is_too_slow_is_told_of_the_gap() -> None:
    stream = Stream()
    stream.publish(incident(seq) for seq in range(1, LINES_KEPT + 11))
    late, in_time = stream.after(9), stream.after(10)
    assert (late.gap, in_time.gap) == (True, False)
    assert len(in_time.lines) == LINES_KEPT


def test_reader_on_another_thread_gets_every_line_once_and_in_order() -> None:
    stream, total, seen, gaps = Stream(), 20_000, [], []

    def read() -> None:
        since = 0
        while since < total:
            batch = stream.after(since)
            seen.extend(line.seq for line in batch.lines)
            gaps.append(batch.gap)
            since = batch.upto_seq

    def publish() -> Iterator[Recorded]:
        for seq in range(1, total + 1):
            while len(seen) < seq - LINES_KEPT // 2:
                pass  # the reader shall not fall behind here; that is another test
            yield incident(seq)

    reader = threading.Thread(target=read)
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        reader.start()
        stream.publish(publish())
        reader.join(20)
    finally:
        sys.setswitchinterval(before)
    assert not reader.is_alive()
    assert seen == list(range(1, total + 1))
    assert not any(gaps)


def test_decision_is_one_line_an_instrument_with_the_reason_it_was_refused_for() -> None:
    refused = RiskCheck(CheckCode.OPEN_POSITIONS, Verdict.REFUSE, "5 others open", "5")
    event = cycle(item(), item(disposition=Disposition.REFUSED, checks=(refused,)))
    acted, kept_out = lines_of(Recorded(7, 1000, event))
    assert (acted.action, acted.outcome, acted.why) == ("BUY 0.2 (0 -> 0.2)", "ACTED", "up")
    assert kept_out.outcome == "REFUSED"
    assert kept_out.why.startswith("OPEN_POSITIONS")
    assert "5 others open" in kept_out.why
    assert {acted.cycle_id, kept_out.cycle_id} == {"a.1"}


def test_failed_cycle_is_a_line_of_its_own() -> None:
    line = line_of(cycle(outcome=Outcome.PARSE_FAILED, detail="two objects"))
    assert (line.kind, line.outcome, line.why) == ("decision", "PARSE_FAILED", "two objects")


@pytest.mark.parametrize(
    ("event", "kind", "outcome", "part"),
    [
        (Filled(agent="a", role=OrderRole.STOP, fill=fill_of("x")), "fill", "STOP HIT", "BUY 1 @ 50000"),
        (Filled(agent="a", role=OrderRole.ENTRY, fill=fill_of("x")), "fill", "FILLED", "fee 50 USDT"),
        (OrdersUpdated(client_order_ids=("x",), status=OrderStatus.REJECTED, reason="no"), "order", "REJECTED", "no"),
        (StateChanged(state=TradingState.HALTED, actor="trader", reason="enough"), "state", "HALTED", "enough"),
        (AgentChanged(agent="a", status=AgentStatus.PAUSED, actor="engine", reason="5"), "agent", "PAUSED", "5"),
        (ApprovalClosed(approval_id="a.1", answer="expired", actor="clock"), "approval", "EXPIRED", "a.1"),
        (FundsMoved(asset="USD", amount=Decimal(5), value=Decimal(5), reason="more"), "funds", "BOOKED", "5 USD"),
        (FlattenEnded(flatten_id="f", flat=True, took_ms=1500, lines=()), "flatten", "CERTIFIED FLAT", "1.5 s"),
        (
            FlattenEnded(
                flatten_id="f", flat=False, took_ms=1, lines=(ResidualLine("k", Decimal(2), Decimal(1), "no bids"),)
            ),
            "flatten", "NOT FLAT", "k 1 no bids",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)  # fmt: skip
def test_each_event_is_told_in_words(event: Event, kind: str, outcome: str, part: str) -> None:
    line = line_of(event)
    assert (line.kind, line.outcome) == (kind, outcome)
    assert part in f"{line.action} {line.why}"


def test_ordinary_steps_of_an_order_are_no_lines() -> None:
    opened = OrdersUpdated(client_order_ids=("x",), status=OrderStatus.OPEN)
    assert list(lines_of(Recorded(1, 0, opened))) == []
