"""Random but valid lives of a store: what an engine could have recorded, in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

from hypothesis import strategies as st

from engine.domain.agent import EXTERNAL, AgentStatus
from engine.domain.decision import Outcome
from engine.domain.events import (
    Adjusted,
    AdjustmentKind,
    AgentChanged,
    ApprovalAsked,
    ApprovalClosed,
    BaselineReset,
    Closing,
    DifferenceClosed,
    DifferenceFound,
    DifferenceKind,
    EngineStarted,
    EquityMarked,
    Event,
    FeePosted,
    FillCorrected,
    Filled,
    FlattenEnded,
    FlattenProven,
    FlattenStarted,
    FlattenStep,
    FundsMoved,
    Incident,
    OrderIntended,
    OrderResized,
    OrdersUpdated,
    ResidualLine,
    StateChanged,
    VenueProof,
)
from engine.domain.order import Fill, OrderRole, OrderStatus, OrderType, Side
from engine.domain.policy import TradingState
from tests.store.samples import AGENT, HELD, KEY, MINUTE_MS, OPENING, START_MS, decided, filled, intended

Life = list[tuple[int, tuple[Event, ...]]]
WORDS = (
    "hold",
    "hold",
    "fail",
    "buy",
    "sell",
    "open",
    "part",
    "fill",
    "cancel",
    "resize",
    "money",
    "state",
    "person",
    "flatten",
    "differ",
    "adjust",
    "correct",
    "late",
)


@dataclass
class Author:
    """Writes one life: each word becomes one record, in the state the words before it left."""

    now_ms: int = START_MS
    trades: int = 0
    orders: list[OrderIntended] = field(default_factory=list)
    fills: list[Filled] = field(default_factory=list)
    feeless: list[Filled] = field(default_factory=list)
    records: Life = field(default_factory=lambda: [(START_MS, OPENING)])

    def write(self, word: str, number: int) -> None:
        self.now_ms += MINUTE_MS
        self.records.append((self.now_ms, self.events(word, number)))

    def events(self, word: str, number: int) -> tuple[Event, ...]:
        price = Decimal(40_000) + Decimal(number) / 100
        qty = Decimal(number % 5000 + 1) / 10_000
        order = self.orders[number % len(self.orders)] if self.orders else None
        if word in ("buy", "sell"):
            side = Side.BUY if word == "buy" else Side.SELL
            self.orders.append(intended(self.now_ms, price, qty, side))
            stop = replace(
                self.orders[-1],
                intent_id=self.orders[-1].intent_id + ":stop",
                client_order_id=f"foreign-{self.now_ms}",
                role=OrderRole.STOP,
                side=side.opposite,
                order_type=OrderType.STOP,
                trigger_price=price - 100,
            )
            return decided(self.now_ms, price, qty, side), self.orders[-1], stop
        if word == "fail":
            return (replace(decided(self.now_ms, price, qty, Side.BUY), outcome=Outcome.TIMED_OUT, items=()),)
        if order is not None and word in ("open", "cancel"):
            status = OrderStatus.OPEN if word == "open" else OrderStatus.CANCELED
            return (OrdersUpdated(client_order_ids=(order.client_order_id, "unknown"), status=status, reason=word),)
        if order is not None and word == "resize":
            return (OrderResized(client_order_id=order.client_order_id, qty=qty),)
        if order is not None and word in ("part", "fill"):
            return self.fill(order, price, order.qty / 4 if word == "part" else order.qty, number)
        if word in ("correct", "late"):
            return self.change(word, number)
        if word in ("differ", "adjust"):
            return self.difference(word, number, price)
        return self.others(word, number, price)

    def fill(self, order: OrderIntended, price: Decimal, qty: Decimal, number: int) -> tuple[Event, ...]:
        self.trades += 1
        event = filled(order, self.now_ms, self.trades, price, qty)
        fee = (event.fill.fee, Decimal(0), -event.fill.fee, qty / 1000)[number % 4]
        asset = "BTC" if number % 4 == 3 else "USDT"
        fill = replace(event.fill, fee=fee, fee_asset=asset)
        if number % 7 == 0:
            fill = replace(fill, client_order_id="not-ours")
        if number % 5 == 0:  # it happened before others that are booked already
            fill = replace(fill, ts_ms=self.now_ms - MINUTE_MS * (number % 90))
        if number % 11 == 0:
            fill = replace(fill, fee=Decimal(0), fee_asset="")
        done = replace(event, fill=fill)
        (self.fills if fill.fee_asset else self.feeless).append(done)
        return (done,)

    def change(self, word: str, number: int) -> tuple[Event, ...]:
        """Let the venue take a fill back, change it, or name its fee."""
        if word == "late" and self.feeless:
            event = self.feeless.pop(number % len(self.feeless))
            asset = ("BTC", "USDT", "BNB")[number % 3]
            paid = FeePosted(agent=event.agent, fill=event.fill, fee=Decimal("0.0001"), fee_asset=asset)
            self.fills.append(replace(event, fill=replace(event.fill, fee=paid.fee, fee_asset=asset)))
            return (paid,)
        if word == "correct" and self.fills:
            event = self.fills.pop(number % len(self.fills))
            was, now = event.fill, self.corrected(event.fill, number)
            if now.qty:
                self.fills.append(replace(event, fill=now))
            return (FillCorrected(agent=event.agent, was=was, now=now, reason="the venue says so"),)
        return (HELD,)

    @staticmethod
    def corrected(was: Fill, number: int) -> Fill:
        if number % 2:
            return replace(was, qty=Decimal(0), fee=Decimal(0))
        return replace(was, price=was.price + 1, fee=Decimal("0.002"), fee_asset="BTC")

    @staticmethod
    def difference(word: str, number: int, price: Decimal) -> tuple[Event, ...]:
        name, asset = f"d{number % 9}", ("BTC", "USDT", "EUR")[number % 3]
        found = DifferenceFound(
            difference_id=name,
            kind=DifferenceKind.BALANCE_DRIFT,
            subject=asset,
            instrument=KEY if asset == "BTC" else "",
            asset=asset,
            ours=price,
            venue=price + 1,
            detail="they differ",
        )
        closed = DifferenceClosed(difference_id=name, how=list(Closing)[number % 3], actor="trader", note="seen")
        if word == "differ":
            return (found, closed) if number % 2 else (found,)
        amount = Decimal(number % 7 - 3) / 100
        adjusted = Adjusted(
            kind=list(AdjustmentKind)[number % 7],
            asset=asset,
            amount=amount,
            value=amount if asset == "USDT" else amount * price,
            agent=EXTERNAL if asset == "BTC" else "",
            instrument=KEY if asset == "BTC" else "",
            difference_id=name,
            actor="trader",
            note="",
        )
        return (adjusted, closed)

    def others(self, word: str, number: int, price: Decimal) -> tuple[Event, ...]:
        if word == "money":
            sign = 1 if number % 3 else -1
            asset = ("USDT", "EUR", "BTC")[number % 3]
            day = EquityMarked(equity=price, peak=price + 1, day=number % 20_000, day_start=price)
            return FundsMoved(asset=asset, amount=price * sign, value=price * sign, reason="moved"), day
        if word == "state":
            state = list(TradingState)[number % 3]
            status = list(AgentStatus)[number % 3]
            return (
                StateChanged(state=state, actor="trader", reason="because", evidence="equity=1"),
                AgentChanged(agent=AGENT, status=status, actor="trader"),
                EngineStarted(epoch=1, source_label="REPLAY MAX"),
                BaselineReset(start=price, peak=price, day=1, day_start=price),
            )
        if word == "person":
            return self.person(number, price)
        if word == "flatten":
            line = ResidualLine(KEY, price, Decimal(0), "")
            name = f"flatten-{number}"
            return (
                FlattenStarted(flatten_id=name, actor="trader"),
                FlattenProven(
                    flatten_id=name,
                    steps=(FlattenStep("halted", 2), FlattenStep("flat", 12)),
                    proofs=(VenueProof(KEY, self.now_ms, Decimal(0), 0, price, price * price),),
                ),
                FlattenEnded(flatten_id=name, flat=True, took_ms=12, lines=(line,)),
                Incident(code="E12", text="fill after cancel \ud800 \x00 \U0001f4a5"),
            )
        return (HELD,)

    def person(self, number: int, price: Decimal) -> tuple[Event, ...]:
        name = f"approval-{self.now_ms}"
        asked = ApprovalAsked(
            approval_id=name,
            cycle_id=f"{AGENT}.x",
            agent=AGENT,
            instrument=KEY,
            role=OrderRole.ENTRY,
            side=Side.BUY,
            order_type=OrderType.LIMIT,
            qty=Decimal(1),
            price=price,
            limit_price=price,
            stop_price=None,
            target_price=None,
            digest="d",
            expires_ms=self.now_ms,
        )
        closed = ApprovalClosed(approval_id=name, answer="rejected", actor="trader", note="no")
        return (asked, closed) if number % 2 else (asked,)


def written(words: Sequence[tuple[str, int]]) -> Life:
    """Return the life that words tell."""
    author = Author()
    for word, number in words:
        author.write(word, number)
    return author.records


LIVES: st.SearchStrategy[Life] = st.lists(
    st.tuples(st.sampled_from(WORDS), st.integers(0, 1_000_000)), max_size=40
).map(written)
FULL_LIFE = written([(word, 7919 * number) for number, word in enumerate(WORDS * 3)])
"""One life with every kind of record in it."""
