"""Flatten: a capped ladder, sized by the venue, and a certificate that never says more than the venue does (R19)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from engine import api
from engine.control.views import snapshot
from engine.domain.agent import AgentConfig, Protection
from engine.domain.decision import Direction
from engine.domain.events import Incident
from engine.domain.market import Source, SourceKind
from engine.domain.order import OrderRole, OrderStatus, OrderType
from engine.domain.policy import FlattenLimits, PaperSettings, Policy, TradingState
from engine.domain.valuation import Mark, Valuation
from engine.execution.blind import BlindFlatten, take_in
from engine.execution.flatten import Flatten
from engine.execution.gateway import AmbiguousSendError
from engine.execution.ladder import Tools
from engine.runtime.compose import arm
from engine.store.emergency import EmergencyFile
from screens.rows import plain_text
from screens.widgets.kill import kill_rows
from tests.flow.conftest import BTC as WORLD_BTC
from tests.flow.conftest import WIDE, Scripted, World
from tests.unit.desk_kit import BTC, START_MS, Bench, FakeVenue
from tests.unit.desk_kit import bare as entry_of

KEY = "paper:BTC/USDT"
SATURDAY_MS = 1_767_441_600_000  # 2026-01-03T12:00Z
FREE = PaperSettings(half_spread_frac=Decimal(0), slippage_frac=Decimal(0), volume_share_frac=Decimal(1))
BUY: dict[str, object] = {"direction": Direction.BUY}
Make = Callable[..., Awaitable[Any]]


@pytest.fixture
def bare(tester: AgentConfig) -> AgentConfig:
    """An agent that asks for no protection, so that only the flatten closes."""
    return replace(tester, protection=Protection(stop_frac=None, target_frac=None))


async def holding(make_world: Make, bare: AgentConfig, **options: Any) -> Any:
    world = await make_world({0: BUY}, agent=bare, **options)
    await world.bars(2, "50000")
    assert world.position() == 1
    return world


def flatten_of(bench: Bench) -> Flatten:
    valuation = Valuation("USD", ("USDT",))
    valuation.mark(BTC.key, Mark(Decimal(50_000), START_MS, Source(kind=SourceKind.SIMULATED, name="by hand")))
    return Flatten(bench.journal, bench.router, bench.venue, valuation, bench.clock, "trader")


def closing(world: Any) -> list[tuple[OrderType, Decimal | None]]:
    found = [o for o in world.books.all_orders() if o.role is OrderRole.FLATTEN]
    return [(o.order_type, o.limit_price) for o in sorted(found, key=lambda each: each.created_ms)]


@pytest.mark.fault("E40")
async def test_a_ladder_reaches_further_each_step_and_fills_at_the_next_price_inside_its_collar(
    make_world: Make, bare: AgentConfig
) -> None:
    world = await holding(make_world, bare)
    await world.handlers.handle(api.Flatten())
    await world.bar("49600")  # 0.8 % down in one bar: below the first collar of 0.5 %
    assert world.position() == 1
    await world.bar("49203.20")  # again, inside the second collar of 1 %
    assert closing(world) == [(OrderType.LIMIT, Decimal("49750.00")), (OrderType.LIMIT, Decimal("49104.00"))]
    certificate = world.books.last_certificate
    assert (certificate.flat, world.position()) == (True, 0)
    proof = world.books.last_proof.proofs[0]
    assert (proof.held, proof.working, proof.sold, proof.cost) == (0, 0, 1, Decimal("49203.20"))


@pytest.mark.fault("E40")
async def test_without_a_buyer_inside_the_cap_it_ends_with_the_residual_and_never_says_flat(
    make_world: Make, bare: AgentConfig
) -> None:
    world = await holding(make_world, bare)
    await world.handlers.handle(api.Flatten())
    price = Decimal(50_000)
    for _ in range(24):
        price = (price * Decimal("0.95")).quantize(Decimal("0.01"))
        await world.bar(str(price))
    certificate = world.books.last_certificate
    assert (certificate.flat, certificate.lines[0].end_qty) == (False, 1)
    assert certificate.lines[0].reason == "20 closing orders in a row found no buyer within 2% of the price"
    caps = [limit for _type, limit in closing(world)]
    assert len(caps) == 20
    assert await world.core.gateway.open_orders() == [], "what it gave up is not left resting"
    again = await world.handlers.handle(api.Flatten())
    assert again.ok, "it may be asked for again"


async def test_no_closing_order_is_a_market_order_or_beyond_the_cap(make_world: Make, bare: AgentConfig) -> None:
    world = await holding(make_world, bare)
    await world.handlers.handle(api.Flatten())
    marks = [Decimal(50_000)]
    for _ in range(6):
        marks.append((marks[-1] * Decimal("0.95")).quantize(Decimal("0.01")))
        await world.bar(str(marks[-1]))
    wanted = [mark * (1 - Decimal("0.005") * min(rung, 4)) for rung, mark in enumerate(marks, 1)]
    for (kind, limit), least in zip(closing(world), wanted, strict=True):
        assert kind is OrderType.LIMIT
        assert limit is not None
        assert least <= limit < least + Decimal("0.01")


async def test_the_certificate_has_the_milliseconds_of_each_step(make_world: Make, bare: AgentConfig) -> None:
    world = await holding(make_world, bare)
    await world.handlers.handle(api.Flatten())
    await world.bar("50000")
    steps = {step.name: step.ms for step in world.books.last_proof.steps}
    assert steps == {"halted": 0, "canceled": 0, "resolved": 0, "first_order": 0, "flat": 60_000}


@pytest.mark.fault("E32")
async def test_what_we_did_not_open_is_closed_too(make_world: Make, bare: AgentConfig) -> None:
    world = await holding(make_world, bare)
    world.parts.gateway.deposit("BTC", Decimal("0.3"))
    await world.handlers.handle(api.Flatten())
    await world.bar("50000")
    await world.bar("50000")
    certificate = world.books.last_certificate
    assert certificate.flat
    assert (await world.core.gateway.balances()).get("BTC", 0) == 0
    assert certificate.lines[0].start_qty == Decimal("1.3")


@pytest.mark.fault("E41")
async def test_dust_is_listed_and_what_nothing_here_can_sell_is_no_flat_account(
    make_world: Make, bare: AgentConfig
) -> None:
    world = await holding(make_world, bare)
    world.parts.gateway.deposit("BTC", Decimal("0.00005"))  # 2.50 USDT, under the venue's least order of 5
    world.parts.gateway.deposit("XYZ", Decimal(7))
    await world.handlers.handle(api.Flatten())
    for _ in range(3):
        await world.bar("50000")
    certificate = world.books.last_certificate
    lines = {line.instrument: line for line in certificate.lines}
    assert not certificate.flat
    assert lines["XYZ"].reason.startswith("no instrument that is listed here trades it")
    assert lines[KEY].end_qty < Decimal("0.0001")


@pytest.mark.fault("E42")
async def test_an_entry_in_flight_is_canceled_before_anything_is_sized(make_world: Make, bare: AgentConfig) -> None:
    entry = {0: {"direction": Direction.BUY, "limit_price": Decimal(49_000)}}
    world = await make_world(entry, agent=bare)
    await world.bar("50000")
    assert [o.role for o in world.books.orders.values()] == [OrderRole.ENTRY]
    await world.handlers.handle(api.Flatten())
    await world.bars(2, "48000")
    assert (world.books.last_certificate.flat, world.position()) == (True, 0)
    assert closing(world) == []


@pytest.mark.fault("E42", "U11")
async def test_an_unknown_order_holds_the_closing_up_and_the_certificate_until_it_is_settled(tmp_path: Path) -> None:
    venue = FakeVenue(answer=AmbiguousSendError("timed out"))
    bench = Bench(tmp_path, venue)
    assert await bench.place(entry_of()) is OrderStatus.UNKNOWN
    venue.answer, venue.held = OrderStatus.OPEN, {"USDT": Decimal(1000), "BTC": Decimal(1)}
    bench.latch.close()
    flatten = flatten_of(bench)
    await flatten.begin()
    assert len(venue.created) == 1, "nothing is sized while an entry may still land"
    bench.clock.advance_ms(31_000)
    assert await flatten.step() is None
    assert [(o.reduce_only, o.qty) for o in venue.created[1:]] == [(True, Decimal(1))], "later it closes what is shown"
    assert await flatten.step() is None
    assert len(venue.created) == 2, "once: the next step waits for its time"


async def test_a_venue_that_does_not_answer_is_asked_again_and_said_once(tmp_path: Path) -> None:
    class Silent(FakeVenue):
        async def balances(self) -> dict[str, Decimal]:
            raise ConnectionError("no route")

    bench = Bench(tmp_path, Silent())
    flatten = flatten_of(bench)
    await flatten.begin()
    assert [await flatten.step() for _ in range(3)] == [None, None, None]
    assert (flatten.trouble, bench.books.count.incidents) == ("no route", 1)


async def test_halted_or_not_a_flatten_may_be_asked_for(make_world: Make, bare: AgentConfig) -> None:
    world = await holding(make_world, bare)
    await world.handlers.handle(api.Halt())
    reply = await world.handlers.handle(api.Flatten())
    twice = await world.handlers.handle(api.Flatten())
    await world.bar("50000")
    assert (reply.ok, twice.text) == (True, "A flatten is under way already.")
    assert (world.books.state, world.books.last_certificate.flat) == (TradingState.HALTED, True)


# What it waits for, and what a person can do

PAGE = FlattenLimits(manual_url={"paper": "https://paper.test/close"})
BY_HAND = "close it by hand at paper: https://paper.test/close"


@pytest.fixture
async def unpriced(make_world: Make, bare: AgentConfig, tmp_path: Path) -> AsyncIterator[Any]:
    """A world that holds one coin and was started again; no price has come since."""
    root, policy = tmp_path / "kept", Policy(kill=WIDE, flatten=PAGE, paper=FREE)
    (await holding(make_world, bare, policy=policy, root=root, durable=True)).close()
    world = World(root, Scripted(), bare, policy, durable=True)
    await arm(world.parts, world.plan, world.clock.now_ms())
    yield world
    world.close()


@pytest.mark.fault("E40")
async def test_without_a_price_it_says_what_it_waits_for_and_never_that_it_is_done(unpriced: Any) -> None:
    world = unpriced
    reply = await world.handlers.handle(api.Flatten())
    why = "no price has come, and nothing else caps a sale; it is given up after 10 minutes so"
    assert f"It waits for {KEY}: {why}; or {BY_HAND}." in reply.text
    shown = snapshot(world.core, mono_ms=0.0, progress=None, finished=False)
    assert (shown.flattening, shown.flatten_waits) == (True, (f"{KEY}: {why}; or {BY_HAND}",))
    assert any("waits: paper:BTC/USDT: no price has come" in plain_text(row) for row in kill_rows(shown, 120))
    for _ in range(9):
        world.clock.advance_ms(60_000)
        await world.core.on_heartbeat()
    assert (world.books.last_certificate, closing(world)) == (None, [])
    assert world.incidents().count("FLATTEN_WAITS") == 1
    world.clock.advance_ms(60_000)
    await world.core.on_heartbeat()
    certificate = world.books.last_certificate
    assert (certificate.flat, certificate.lines[0].end_qty) == (False, 1)
    assert certificate.lines[0].reason == (
        f"no price has come for 10 minutes, and without one nothing caps a sale; {BY_HAND}"
    )


async def test_with_the_first_price_it_goes_on_and_waits_no_more(unpriced: Any) -> None:
    world = unpriced
    await world.handlers.handle(api.Flatten())
    await world.bar("50000")
    assert (world.core.flattening.waiting, len(closing(world))) == ((), 1)
    await world.bar("50000")
    assert world.books.last_certificate.flat


async def test_a_closed_market_is_named_and_waited_for(make_world: Make, bare: AgentConfig) -> None:
    weekdays = replace(WORLD_BTC, calendar="24/5")
    world = await holding(make_world, bare, policy=Policy(kill=WIDE, paper=FREE), instrument=weekdays)
    world.core.desk.surroundings.valuation.marks.clear()
    world.clock.set_ms(SATURDAY_MS)
    await world.handlers.handle(api.Flatten())
    for _ in range(15):
        world.clock.advance_ms(60_000)
        await world.core.on_heartbeat()
    assert world.core.flattening.waiting == (
        f"{KEY}: its market is closed; it is sold at the first price after the opening; or close it by hand at paper",
    )
    assert world.books.last_certificate is None


async def test_a_venue_that_falls_silent_before_the_certificate_is_asked_again(tmp_path: Path) -> None:
    class Moody(FakeVenue):
        silent = False

        async def balances(self) -> dict[str, Decimal]:
            if self.silent:
                raise ConnectionError("key revoked")
            return await FakeVenue.balances(self)

    venue = Moody()
    flatten = flatten_of(Bench(tmp_path, venue))
    flatten.limits = FlattenLimits(manual_url={"fake": "https://fake.test"})
    await flatten.begin()
    venue.silent = True
    assert await flatten.step() is None
    assert flatten.waiting == (
        "the venue does not say what it holds (key revoked); close it by hand at fake: https://fake.test",
    )
    venue.silent = False
    ended = await flatten.step()
    assert (ended is not None and ended.flat, flatten.waiting) == (True, ())


@pytest.mark.parametrize(
    ("silent", "said"),
    [
        (True, "the venue gives no answer (key revoked), and is asked again; or close it by hand at fake: https://f"),
        (False, "no price has come that would cap a sale of fake:BTC/USDT 1; close it by hand at fake: https://f"),
    ],
)
async def test_without_a_journal_the_emergency_file_says_what_must_be_closed_by_hand(
    tmp_path: Path, silent: bool, said: str
) -> None:
    class Venue(FakeVenue):
        async def balances(self) -> dict[str, Decimal]:
            if silent:
                raise ConnectionError("key revoked")
            return {"BTC": Decimal(1)}

    bench, file = Bench(tmp_path, Venue()), EmergencyFile(tmp_path / "emergency")
    limits = FlattenLimits(manual_url={"fake": "https://f"})
    tools = Tools(bench.journal, bench.router, Valuation("USD", ("USDT",)), bench.clock, limits)
    blind = BlindFlatten(file, bench.venue, tools, "trader")
    await blind.begin()
    for _ in range(3):
        bench.clock.advance_ms(1_000)
        await blind.step()
    words = [event.text for _ts_ms, event in file.events() if isinstance(event, Incident)]
    assert (words, said in blind.told, blind.is_done) == ([said], True, False)
    take_in(bench.journal, file, bench.clock.now_ms())
    assert (bench.books.count.incidents, file.events()) == (1, [])
    file.close()
