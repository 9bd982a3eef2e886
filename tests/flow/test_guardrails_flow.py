"""Every guardrail stops a real order: a model asks, the core runs on a real store, and nothing reaches the venue."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path

import pytest

from engine.domain.agent import AgentStatus, SizingMethod
from engine.domain.decision import Direction, Disposition, Outcome
from engine.domain.events import AgentChanged, CycleDone, EntriesBlocked, StateChanged
from engine.domain.instrument import Instrument
from engine.domain.intent import Autonomy
from engine.domain.policy import TradingState
from engine.domain.risk import CheckCode, Verdict
from engine.paths import StorePaths
from engine.risk.guardrails import GUARDRAILS
from engine.store.explain import explain
from engine.store.reader import Reader
from screens.detail import outline
from tests.flow.guard_kit import BTC, ETH, NEW_YEAR_MS, SOL, Asked, Exchange, Interlude

D = Decimal
BUY: Asked = {"direction": Direction.BUY}
FLAT: Asked = {"direction": Direction.FLAT}
ONE_BUY = {0: {BTC.key: BUY}}
ROUND_TRIP = {0: {BTC.key: BUY}, 2: {BTC.key: FLAT}, 4: {BTC.key: BUY}}
AFTER_ETH = {0: {ETH.key: BUY}, 2: {BTC.key: BUY}}
STILL = [D(50_000)] * 6
SWINGING = [D(50_000) * (1 + D("0.01") * (n % 2)) for n in range(60)]
DAY_MS = 86_400_000


@dataclass(frozen=True, kw_only=True)
class Story:
    """What leads to an order that is refused: the agent asks on some bars, and the last of them is too much.

    limits, own, agent, policy: what differs from a policy and an agent under which it would pass. prices: a bar each.
    before: how many entry orders went out before. last_asked: the bar after which nothing more is played.
    """

    code: str
    script: Mapping[int, Mapping[str, Asked]] = field(default_factory=lambda: ONE_BUY)
    limits: Mapping[str, object] = field(default_factory=dict)
    own: Mapping[str, object] = field(default_factory=dict)
    agent: Mapping[str, object] = field(default_factory=dict)
    policy: Mapping[str, object] = field(default_factory=dict)
    warm: list[Decimal] = field(default_factory=lambda: STILL)
    prices: tuple[object, ...] = ()
    instruments: tuple[Instrument, ...] = (BTC, ETH, SOL)
    meanwhile: Interlude | None = None
    prepare: Interlude | None = None
    again: bool = False
    files: Mapping[str, str] = field(default_factory=dict)
    start_ms: int = NEW_YEAR_MS
    before: int = 0


async def reduce_only(there: Exchange) -> None:
    there.journal.record(there.clock.now_ms(), StateChanged(state=TradingState.REDUCING, actor="test", reason="test"))


async def pause(there: Exchange) -> None:
    paused = AgentChanged(agent="tester", status=AgentStatus.PAUSED, actor="test")
    there.journal.record(there.clock.now_ms(), paused)


async def block(there: Exchange) -> None:
    there.journal.record(there.clock.now_ms(), EntriesBlocked(instrument=BTC.key, reason="look at it", actor="test"))


async def trade_more_than_numbers_hold(there: Exchange) -> None:
    """A bar whose volume no venue can have traded: reckoning with it breaks the check that reads it."""
    await there.bar(50_000, warm=True, volumes={BTC.key: D("9E+999999")})


async def think_half_a_minute(there: Exchange) -> None:
    there.clock.advance_ms(31_000)


async def think_for_two_minutes(there: Exchange) -> None:
    there.clock.advance_ms(91_000)


async def move(there: Exchange) -> None:
    await there.quote("50600", "50600")


async def widen(there: Exchange) -> None:
    await there.quote("49500", "50500")


def losing(count: int) -> dict[int, Mapping[str, Asked]]:
    """So many round trips, each of which costs its fees, and then one more entry."""
    trips: dict[int, Mapping[str, Asked]] = {}
    for place in range(count):
        trips[4 * place], trips[4 * place + 2] = {BTC.key: BUY}, {BTC.key: FLAT}
    return trips | {4 * count: {BTC.key: BUY}}


INDEX = {"volatility_index": D(40), "volatility_index_file": "vix.csv"}
QUIET = "DATE,OPEN,HIGH,LOW,CLOSE\n2025-12-31,20,21,19,20.5\n2026-01-01,99,99,99,99\n"
QUARTER = {"limits": {}, "script": AFTER_ETH, "before": 0}


STORIES = [
    Story(code="TRADING_STATE", prepare=reduce_only),
    Story(code="AGENT_STATE", meanwhile=pause),
    Story(code="AUTONOMY", limits={"autonomy": Autonomy.APPROVE}),
    Story(code="CONFIDENCE", script={0: {BTC.key: {**BUY, "confidence": D("0.59")}}}),
    Story(code="NOT_ALLOWED", own={"allowed": (ETH.key,)}),
    Story(code="BLOCKED", own={"blocked": (BTC.key,)}),
    Story(code="DUPLICATE_DECISION", script={0: {BTC.key: BUY}, 1: {BTC.key: BUY}}, again=True, before=1),
    Story(
        code="ORDER_WORKING", script={0: {BTC.key: {**BUY, "limit_price": D(49_000)}}, 1: {BTC.key: BUY}}, before=1
    ),
    Story(code="INSTRUMENT_BLOCKED", prepare=block),
    Story(code="MARKET_CLOSED", instruments=(replace(BTC, calendar="24/5"),), start_ms=NEW_YEAR_MS + 2 * DAY_MS),
    Story(code="PRICE_AGE", meanwhile=think_for_two_minutes),
    Story(code="PRICE_COLLAR", prices=(50_000, 56_000), script={1: {BTC.key: BUY}}),
    Story(code="DECISION_AGE", limits={"decision_age_ms": 30_000}, meanwhile=think_half_a_minute),
    Story(code="PRICE_DRIFT", meanwhile=move),
    Story(code="SPREAD", meanwhile=widen),
    Story(code="VOLATILITY_INDEX", limits=INDEX, files={"vix.csv": QUIET.replace("20.5", "40.01")}),
    Story(code="SHORT_NOT_ALLOWED", script={0: {BTC.key: {"direction": Direction.SELL}}}),
    Story(code="STOP_INVALID", script={0: {BTC.key: {**BUY, "stop": D(51_000)}}}),
    Story(code="STOP_DISTANCE", script={0: {BTC.key: {**BUY, "stop": D(49_960)}}}),
    Story(code="REWARD_RISK", limits={"reward_risk": D("2.1")}),
    Story(
        code="COOLDOWN", script=ROUND_TRIP, prices=(50_000, 50_000, 49_900), own={"cooldown_after_loss_ms": 600_000},
        before=1,
    ),
    Story(
        code="REFUSAL_COOLDOWN", own={"cooldown_after_refusal_ms": 600_000},
        script={0: {BTC.key: {**BUY, "confidence": D("0.1")}}, 1: {BTC.key: BUY}},
    ),
    Story(
        code="DAILY_LOSS", script=ROUND_TRIP, prices=(50_000, 50_000, 49_500), limits={"daily_loss_frac": D("0.002")},
        before=1,
    ),
    Story(
        code="DAILY_PROFIT", script=ROUND_TRIP, prices=(50_000, 50_000, 51_000), before=1,
        limits={"daily_profit_frac": D("0.002")},
    ),
    Story(code="WIN_RATE", script=losing(10), limits={"win_rate_frac": D("0.5")}, before=10),
    Story(code="AGENT_LOSS", script=losing(10), limits={"agent_loss_frac": D("0.004")}, before=10),
    Story(code="TRADES_PER_DAY", script=ROUND_TRIP, own={"trades_per_day": 2}, before=1),
    Story(code="ACCOUNT_TRADES_PER_DAY", script=ROUND_TRIP, limits={"trades_per_day": 2}, before=1),
    Story(code="OPEN_POSITIONS", script=AFTER_ETH, limits={"open_positions": 1}),
    Story(code="VOLATILITY", warm=SWINGING, limits={"volatility_frac": D("0.6")}),
    Story(code="AVERAGE_VOLUME", warm=SWINGING, limits={"average_volume": D(10) ** 12}),
    Story(
        code="CORRELATION", script=AFTER_ETH, warm=SWINGING, prices=(50_500, 50_000, 50_500),
        limits={"correlated_positions": 1},
    ),
    Story(
        code="SIZING", warm=SWINGING,
        own={"qty_fixed": None, "sizing": SizingMethod.VOLATILITY, "volatility_target_frac": D(0)},
    ),
    Story(code="SIZE_CAP", script={0: {BTC.key: {**BUY, "quantity": D(11)}}}, own={"qty_max": D(10)}),
    Story(code="RISK_PER_TRADE", own={"qty_fixed": None}, limits={"risk_per_trade_frac": D(0)}),
    Story(code="POSITION_NOTIONAL", own={"position_notional_max": D("0.4")}),
    Story(code="PORTFOLIO_SHARE", own={"portfolio_share_frac": D(0)}),
    Story(code="GROUP_SHARE", script=AFTER_ETH, limits={"group_share_frac": D("0.25")}),
    Story(code="CAPITAL_SHARE", script=AFTER_ETH, agent={"capital_share_frac": D("0.25")}),
    Story(code="NET_EXPOSURE", script=AFTER_ETH, limits={"net_exposure_frac": D("0.25")}),
    Story(code="GROSS_EXPOSURE", script=AFTER_ETH, limits={"gross_exposure_frac": D("0.25")}),
    Story(code="LEVERAGE", script=AFTER_ETH, limits={"leverage": D("0.25")}),
    Story(code="VALUE_AT_RISK", warm=SWINGING, limits={"value_at_risk_frac": D("0.000001")}),
    Story(code="BUYING_POWER", policy={"cash": D("0.502")}),
    Story(code="QTY_STEP", own={"qty_fixed": D("0.000001")}),
    Story(code="MIN_NOTIONAL", own={"qty_fixed": D("0.00005")}),
    Story(code="INPUT_MISSING", limits=INDEX),
    Story(code="INPUT_STALE", limits=INDEX, files={"vix.csv": "DATE,CLOSE\n12/20/2025,20\n01/02/2026,20\n"}),
    Story(code="HISTORY_TOO_SHORT", limits={"value_at_risk_frac": D("0.05")}),
    Story(code="CHECK_FAILED", warm=SWINGING, limits={"average_volume": D(1)}, prepare=trade_more_than_numbers_hold),
]  # fmt: skip
OF_INPUTS = {"INPUT_MISSING", "INPUT_STALE", "HISTORY_TOO_SHORT", "CHECK_FAILED"}
Play = Callable[[Story], Awaitable[Exchange]]


@pytest.fixture
def play(tmp_path: Path) -> Iterator[Play]:
    """Play stories up to the bar on which the agent asks for the last time; closes them at the end."""
    made: list[Exchange] = []

    async def go(story: Story) -> Exchange:
        root = tmp_path / str(len(made))
        root.mkdir()
        for name, text in story.files.items():
            (root / name).write_text(text, encoding="utf-8")
        there = Exchange(
            root, story.script, limits=story.limits, own=story.own, agent=story.agent, policy=story.policy,
            instruments=story.instruments, meanwhile=story.meanwhile, start_ms=story.start_ms,
        )  # fmt: skip
        made.append(there)
        await there.open(story.warm)
        if story.prepare is not None:
            await story.prepare(there)
        prices = list(story.prices) or [story.warm[-1]]
        for bar in range(max(story.script) + (0 if story.again else 1)):
            await there.bar(prices[min(bar, len(prices) - 1)])
        if story.again:
            await there.core.run_slot("tester", there.clock.now_ms())
        return there

    yield go
    for each in made:
        each.close()


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.code)
async def test_a_guardrail_stops_a_real_order(play: Play, story: Story) -> None:
    there = await play(story)
    item = there.last()
    assert item.disposition is Disposition.REFUSED, item
    refused = item.checks[-1]
    assert (refused.code.value, refused.verdict) == (story.code, Verdict.REFUSE), refused
    assert refused.observed
    assert refused.limit
    assert item.bound_by == story.code
    assert there.entries() == story.before
    await there.bar(50_000)
    assert there.entries() == story.before, "it went out after all"


def test_every_guardrail_has_a_story_in_which_it_stops_an_order() -> None:
    assert [story.code for story in STORIES if story.code not in OF_INPUTS] == [each.code.value for each in GUARDRAILS]
    assert {CheckCode(story.code) for story in STORIES} == set(CheckCode)


LET_THROUGH = {
    "nothing in the way": Story(code=""),
    "after a position elsewhere": Story(code="", script=AFTER_ETH),
    "after a round trip": Story(code="", script=ROUND_TRIP, before=1),
    "after ten round trips": Story(code="", script=losing(10), before=10),
    "with a quiet index": Story(code="", limits=INDEX, files={"vix.csv": QUIET}),
    "with history": Story(
        code="", warm=SWINGING,
        limits={"volatility_frac": D(99), "average_volume": D(1), "value_at_risk_frac": D("0.5")},
    ),
    "with a target far enough away": Story(code="", limits={"reward_risk": D("1.9")}),
}  # fmt: skip


@pytest.mark.parametrize("story", LET_THROUGH.values(), ids=LET_THROUGH)
async def test_the_same_stories_without_the_limit_send_an_order(play: Play, story: Story) -> None:
    there = await play(story)
    item = there.last()
    assert item.disposition is Disposition.ACTED, item.checks[-1]
    assert there.entries() == story.before + 1
    assert [check.code for check in item.checks] == [each.code for each in GUARDRAILS]
    await there.bar(50_000)
    assert there.books.position("tester", BTC.key).qty == D("0.5")


async def test_an_exit_passes_when_every_limit_on_entries_says_no(play: Play) -> None:
    script = {0: {BTC.key: BUY}, 2: {BTC.key: FLAT}}
    limits = {"daily_loss_frac": D("0.0001"), "average_volume": D(1), **INDEX}
    files = {"vix.csv": QUIET}
    there = await play(Story(code="", script={0: {BTC.key: BUY}}, warm=SWINGING, limits=limits, files=files))
    assert there.last().disposition is Disposition.ACTED, there.last().checks[-1]
    (there.root / "vix.csv").unlink()
    there.model.script = script
    for price in (50_500, 49_800, 49_800):
        await there.bar(price)
    assert there.last().disposition is Disposition.ACTED, there.last().checks[-1]
    assert there.books.position("tester", BTC.key).qty == 0


async def test_the_trader_sees_each_check_and_what_bound_the_size(play: Play) -> None:
    own = {"qty_fixed": None, "sizing": SizingMethod.VOLATILITY}
    there = await play(Story(code="", warm=SWINGING, own=own, limits={"value_at_risk_frac": D("0.001")}))
    cycle = there.cycle()
    there.journal.flush()
    with closing(Reader(StorePaths(there.root / "store"))) as reader:
        told = reader.read(explain(cycle))
    (item,) = [each for each in told["items"] if each["instrument"] == BTC.key]
    assert [check["code"] for check in item["checks"]] == [each.code.value for each in GUARDRAILS]
    assert item["bound_by"] == "VALUE_AT_RISK"
    drawn = "\n".join("".join(text for text, _ink in row) for row in outline(told, 110))
    for shown in ("SIZING", "volatility: ", "1% a day at ", "VALUE_AT_RISK", "0.1% at 95%", "VOLATILITY_INDEX", "off"):
        assert shown in drawn


async def test_a_check_that_breaks_refuses_by_name_and_the_engine_goes_on(play: Play) -> None:
    broken = trade_more_than_numbers_hold
    there = await play(Story(code="", warm=SWINGING, limits={"average_volume": D(1)}, prepare=broken))
    cycle, check = there.cycle(), there.last().checks[-1]
    assert (check.code, check.observed, check.limit) == (
        CheckCode.CHECK_FAILED, "AVERAGE_VOLUME: Overflow", "a clear answer",
    )  # fmt: skip
    assert (there.entries(), there.books.state) == (0, TradingState.ACTIVE)
    lines = [each for each in there.stream.after(0).lines if each.cycle_id == cycle and each.instrument == BTC.key]
    assert [each.outcome for each in lines] == ["REFUSED"]
    assert "CHECK_FAILED" in lines[0].why
    there.journal.flush()
    with closing(Reader(StorePaths(there.root / "store"))) as reader:
        drawn = "\n".join("".join(text for text, _ink in row) for row in outline(reader.read(explain(cycle)), 110))
    assert "CHECK_FAILED" in drawn
    assert "AVERAGE_VOLUME: Overflow" in drawn
    there.model.script = {there.model.asked: {ETH.key: BUY}}
    for price in (50_000, 50_500):
        await there.bar(price)
    assert there.books.position("tester", ETH.key).qty == D("0.5")
    assert there.books.position("tester", BTC.key).qty == 0


@pytest.mark.parametrize("number", ["0.9", D("NaN"), D("1e40"), 0.9])
async def test_a_draft_with_a_number_that_is_none_fails_its_cycle_and_nothing_else(play: Play, number: object) -> None:
    there = await play(Story(code="", script={0: {BTC.key: {**BUY, "confidence": number}}}))
    cycle = next(event for event in reversed(there.told) if isinstance(event, CycleDone))
    assert (cycle.outcome, cycle.items) == (Outcome.MODEL_ERROR, ())
    assert "confidence" in cycle.detail
    there.model.script = {there.model.asked: {BTC.key: BUY}}
    there.clock.advance_ms(600_000)
    await there.bar(50_000)
    assert there.last().disposition is Disposition.ACTED, there.last().checks[-1]
