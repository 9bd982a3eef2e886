"""The way to the venue: at most one create an intent, and nothing known is nothing claimed."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from engine.domain.agent import AgentConfig, AgentLimits, AgentStatus
from engine.domain.decision import DecisionDraft, Direction
from engine.domain.events import AgentChanged, Incident
from engine.domain.market import Source, SourceKind
from engine.domain.order import OrderRequest, OrderRole, OrderStatus, OrderType, Side
from engine.domain.policy import Policy, TradingState
from engine.domain.risk import CheckCode
from engine.domain.valuation import Mark, Valuation
from engine.errors import StoreError
from engine.execution.gateway import AmbiguousSendError, OrderRejectedError, ResizeUpdate, StatusUpdate
from engine.market.state import MarketState
from engine.risk.gate import judge
from engine.risk.surroundings import Surroundings
from engine.store.journal import DuplicateOrderError
from tests.unit.desk_kit import BTC, CASH, ETH, START_MS, Bench, bare, buy, fill_of


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path / "s")
    yield made
    made.journal.close()


def surroundings(bench: Bench) -> Surroundings:
    valuation = Valuation("USD", ("USDT",))
    source = Source(kind=SourceKind.SIMULATED, name="test")
    for instrument in (BTC, ETH):
        valuation.list_instrument(instrument)
        valuation.mark(instrument.key, Mark(Decimal(50_000), bench.clock.now_ms(), source))
    return Surroundings(bench.books, MarketState(60_000), valuation, Policy())


def refusal(bench: Bench, agent: str, instrument: str = BTC.key, direction: Direction = Direction.BUY) -> str:
    """Return the code that refuses an agent's draft now."""
    if agent not in bench.books.agent_status:
        bench.journal.record(START_MS, AgentChanged(agent=agent, status=AgentStatus.RUNNING, actor="test"))
    config = AgentConfig(
        name=agent, model="scripted:x", instruments=(BTC.key, ETH.key), timeframe_ms=60_000, limits=AgentLimits()
    )
    draft = DecisionDraft(instrument=instrument, direction=direction, rationale="", confidence=Decimal(1))
    around = surroundings(bench).gather(config, draft, f"{agent}.9:{instrument}", bench.clock.now_ms())
    refused = judge(around, f"{agent}.9", f"{agent}.9:{instrument}").assessment.refused
    return refused.code.value if refused else ""


async def test_accepted_order_is_open_and_its_protection_travels_with_it(bench: Bench) -> None:
    assert await bench.place(buy()) is OrderStatus.OPEN
    (request,) = bench.venue.created
    assert request.bracket is not None
    assert (request.bracket.stop_price, request.bracket.target_price) == (Decimal(49_000), Decimal(52_000))
    assert len({request.client_order_id, request.bracket.stop_order_id, request.bracket.target_order_id}) == 3
    assert set(bench.statuses()) == {OrderRole.ENTRY, OrderRole.STOP, OrderRole.TARGET}
    assert bench.statuses()[OrderRole.ENTRY] is OrderStatus.OPEN


@pytest.mark.fault("E01", "E20")
@pytest.mark.parametrize(
    "error",
    [AmbiguousSendError("timed out"), KeyError("no such field"), OSError("reset")],
    ids=lambda e: type(e).__name__,
)
async def test_send_whose_outcome_is_not_known_stays_unknown_and_is_never_repeated(
    bench: Bench, error: Exception
) -> None:
    bench.venue.answer = error
    assert await bench.place(buy()) is OrderStatus.UNKNOWN
    assert bench.statuses()[OrderRole.ENTRY] is OrderStatus.UNKNOWN
    assert [incident.code for incident in bench.rows(Incident)] == ["ORDER_UNKNOWN"]
    bench.venue.answer = OrderStatus.OPEN
    with pytest.raises(DuplicateOrderError):
        await bench.place(buy())
    assert len(bench.venue.created) == 1


async def test_unknown_order_reserves_its_full_notional_and_blocks_its_instrument(bench: Bench) -> None:
    bench.venue.answer = AmbiguousSendError("timed out")
    await bench.place(bare())
    reserved = Decimal(50_000) * Decimal("1.01") * Decimal("1.001")
    assert surroundings(bench).free_cash(BTC) == CASH - reserved
    assert refusal(bench, "a") == CheckCode.ORDER_WORKING
    assert refusal(bench, "b") == CheckCode.INSTRUMENT_BLOCKED
    assert refusal(bench, "a", ETH.key) not in (CheckCode.ORDER_WORKING, CheckCode.INSTRUMENT_BLOCKED)


async def test_unknown_order_does_not_hold_up_another_agents_exit(bench: Bench) -> None:
    await bench.place(bare("b.1:fake:BTC/USDT", agent="b"))
    bench.venue.told = [fill_of(bench.venue.created[0].client_order_id)]
    bench.router.pump()
    bench.venue.answer = AmbiguousSendError("timed out")
    await bench.place(bare())
    assert refusal(bench, "b", direction=Direction.FLAT) == ""


async def test_unknown_order_that_fills_is_known_again(bench: Bench) -> None:
    bench.venue.answer = AmbiguousSendError("timed out")
    await bench.place(bare())
    bench.venue.told = [fill_of(bench.venue.created[0].client_order_id)]
    bench.router.pump()
    assert bench.statuses() == {OrderRole.ENTRY: OrderStatus.FILLED}
    assert bench.books.position("a", BTC.key).qty == 1


async def test_rejected_order_is_closed_with_its_protection(bench: Bench) -> None:
    bench.venue.answer = OrderRejectedError("insufficient funds")
    assert await bench.place(buy()) is OrderStatus.REJECTED
    assert set(bench.statuses().values()) == {OrderStatus.REJECTED}
    assert not bench.books.orders
    assert surroundings(bench).free_cash(BTC) == CASH


async def test_latch_closed_between_writing_and_sending_holds_the_order_back(bench: Bench) -> None:
    prepared = bench.router.prepare(buy())
    bench.journal.record(START_MS, *prepared.events)
    bench.latch.close()
    assert await bench.router.send(prepared) is OrderStatus.NOT_SENT
    assert bench.venue.created == []
    assert set(bench.statuses().values()) == {OrderStatus.NOT_SENT}


@pytest.mark.parametrize(("role", "sent"), [(OrderRole.ENTRY, 0), (OrderRole.EXIT, 0), (OrderRole.FLATTEN, 1)])
async def test_closed_latch_lets_only_a_flatten_through(bench: Bench, role: OrderRole, sent: int) -> None:
    bench.latch.close()
    side = Side.BUY if role is OrderRole.ENTRY else Side.SELL
    await bench.place(bare(role=role, side=side, reduce_only=role is not OrderRole.ENTRY))
    assert len(bench.venue.created) == sent


async def test_reducing_lets_exits_through_and_holds_entries_back(bench: Bench) -> None:
    bench.books.state = TradingState.REDUCING
    assert await bench.place(bare()) is OrderStatus.NOT_SENT
    exit_ = bare("a.2:x", role=OrderRole.EXIT, side=Side.SELL, reduce_only=True)
    assert await bench.place(exit_) is OrderStatus.OPEN


@pytest.mark.fault("E38", "E39")
async def test_cancel_that_fails_leaves_that_order_pending_and_goes_on_with_the_others(bench: Bench) -> None:
    for number in (1, 2, 3):
        await bench.place(bare(f"a.{number}:x", order_type=OrderType.LIMIT, limit_price=Decimal(40_000)))
    ids = [request.client_order_id for request in bench.venue.created]
    bench.venue.cancels = {ids[0]: AmbiguousSendError("timed out"), ids[1]: KeyError("status")}
    for request in bench.venue.created:
        bench.venue.show(request, OrderStatus.CANCELED)
    bench.venue.told = [StatusUpdate(client_order_ids=(ids[2],), status=OrderStatus.CANCELED)]
    assert await bench.router.cancel(ids) == ids[:2]
    assert [bench.books.order(i).status.value for i in ids] == ["CANCEL_PENDING", "CANCEL_PENDING", "CANCELED"]  # type: ignore[union-attr]
    bench.venue.cancels.clear()
    bench.venue.told = [StatusUpdate(client_order_ids=tuple(ids[:2]), status=OrderStatus.CANCELED)]
    assert await bench.router.cancel(ids) == []
    assert not bench.books.orders


@pytest.mark.fault("E13")
async def test_overfill_is_recorded_whole_and_named_as_a_breach(bench: Bench) -> None:
    await bench.place(bare())
    order_id = bench.venue.created[0].client_order_id
    bench.venue.told = [fill_of(order_id), fill_of(order_id, "t2", qty=Decimal("0.5"))]
    bench.router.pump()
    assert bench.books.position("a", BTC.key).qty == Decimal("1.5")
    assert order_id in bench.router.breach


async def test_partial_fills_of_one_batch_leave_the_protection_at_its_last_size(bench: Bench) -> None:
    await bench.place(buy())
    (request,) = bench.venue.created
    assert request.bracket is not None
    stop = request.bracket.stop_order_id
    bench.venue.told = [
        fill_of(request.client_order_id, "t1", qty=Decimal("0.4")),
        StatusUpdate(client_order_ids=(stop,), status=OrderStatus.OPEN),
        ResizeUpdate(client_order_id=stop, qty=Decimal("0.4")),
        fill_of(request.client_order_id, "t2", qty=Decimal("0.6")),
        ResizeUpdate(client_order_id=stop, qty=Decimal(1)),
    ]
    bench.router.pump()
    shown = bench.books.order(stop)
    assert shown is not None
    assert (shown.status, shown.qty) == (OrderStatus.OPEN, 1)


@pytest.mark.fault("P24")
async def test_fill_that_could_not_be_written_is_booked_when_writing_works_again(bench: Bench) -> None:
    await bench.place(bare())
    bench.venue.told = [fill_of(bench.venue.created[0].client_order_id)]
    bench.journal.broken = "disk full"
    with pytest.raises(StoreError):
        bench.router.pump()
    bench.journal.broken = None
    bench.router.pump()
    bench.router.pump()
    assert bench.books.position("a", BTC.key).qty == 1


async def test_order_id_depends_on_store_and_intent_alone(bench: Bench) -> None:
    one, same = bench.router.prepare(buy()), bench.router.prepare(buy())
    other = bench.router.prepare(buy("a.2:fake:BTC/USDT"))
    ids: list[OrderRequest] = [one.request, same.request, other.request]
    assert ids[0].client_order_id == ids[1].client_order_id != ids[2].client_order_id
    assert all(request.client_order_id.startswith("0123abcd") and len(request.client_order_id) == 32 for request in ids)
