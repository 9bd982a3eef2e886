"""Who may change the policy, and when a change takes effect (R24)."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal as D
from pathlib import Path

import pytest

from engine.control.policy_views import notices
from engine.domain.agent import AgentConfig, Protection, SizingMethod
from engine.domain.events import AdminTried, ChangeAnswered, PolicyVersioned
from engine.domain.governance import AskedBy, Sense, Verdict
from engine.domain.intent import Autonomy, Mode
from engine.domain.policy import Policy
from engine.errors import RefusedError, UsageError
from engine.governance.environment import overlaid
from engine.governance.versions import document_of
from engine.store.codec import decode
from tests.unit.governance_kit import PASSPHRASE, Desk, MemoryKeyring, admin, with_cooling, with_positions
from tests.unit.situations import AGENT

HOUR_MS = 3_600_000
MORE = {"limits.open_positions": "8"}
LESS = {"limits.open_positions": "3"}


def positions(desk: Desk) -> int:
    return desk.policy.limits.open_positions


def of_kind(desk: Desk, kind: type) -> list:
    return [decode(number, text) for _ts, number, text in desk.rows if number == kind.KIND]  # type: ignore[attr-defined]


def test_file_of_a_new_store_is_version_one() -> None:
    desk = Desk(with_positions(7))
    assert (desk.governor.version, positions(desk)) == (1, 7)
    assert document_of(desk.books.governance).policy == with_positions(7)


def test_tighter_limit_is_in_force_at_once_and_for_good() -> None:
    desk = Desk(Policy())
    changes, waits = desk.governor.propose(LESS, "calm down")
    assert (positions(desk), waits, changes[0].sense) == (3, "", Sense.TIGHTENS)
    desk.start(Policy())
    assert positions(desk) == 3


@pytest.mark.fault("W07")
async def test_looser_limit_waits_until_the_admin_approves_it() -> None:
    desk = Desk(Policy())
    _changes, waits = desk.governor.propose(MORE, "more room")
    assert (waits, positions(desk)) == ("cr-1", 5)
    said = await desk.governor.approve("cr-1", desk.code("cr-1"), PASSPHRASE, "fine", "admin")
    assert (positions(desk), desk.waiting()) == (8, [])
    assert "version 2" in said
    desk.start(Policy())
    assert positions(desk) == 8, "an old file does not undo what was approved"


def test_mixed_proposal_tightens_at_once_and_lets_the_rest_wait() -> None:
    desk = Desk(Policy())
    desk.governor.propose(MORE | {"limits.trades_per_day": "10"}, "a trade-off")
    assert (positions(desk), desk.policy.limits.trades_per_day) == (5, 10)
    (request,) = desk.books.governance.requests.values()
    assert [each.field for each in request.changes] == ["limits.open_positions"]
    assert request.base_version == desk.governor.version == 2


NARROW = replace(
    Policy(),
    limits=replace(Policy().limits, gross_exposure_frac=D("0.5"), net_exposure_frac=D("0.4")),
    kill=replace(Policy().kill, thresholds={"loss_warn": D("0.035")}),
)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"limits.risk_per_trade": "40%", "limits.open_positions": "1"}, "one trade at its stop would stop trading"),
        ({"kill_switch.warn_at": "90%"}, r"The proposal: \[kill_switch\]: .*warn"),
        (
            {"kill_switch.loss": "3%", "kill_switch.thresholds": "{ loss_warn = '2%', loss_reduce = '2.5%' }"},
            "what of it applies at once: .*loss",
        ),
        ({"paper.half_spread": "1%"}, "nothing could trade"),
        ({"limits.net_exposure": "60%"}, "net_exposure 60% is more than .* gross_exposure 50%, which always acts"),
        ({"agents.a.limits.sizing": "notional"}, r'agent a \[limits\] sizing = "notional" needs notional_fixed'),
        ({"agents.a.limits.kelly_share": "50%"}, r"agent a \[limits\] kelly_share only has a meaning beside"),
        ({"agents.a.limits.allowed": '["NOPE"]'}, "NOPE is not in the list of instruments"),
        ({"limits.risk_per_trade": "101%"}, "101% is above 100%"),
    ],
)
def test_proposal_is_held_to_what_the_policy_file_is_held_to(asked: dict[str, str], said: str) -> None:
    desk = Desk(NARROW)
    rows = len(desk.rows)
    with pytest.raises(UsageError, match=said):
        desk.governor.propose(asked, "all in")
    assert len(desk.rows) == rows, "it is refused whole"


def test_tighter_limit_is_never_held_up_for_another_that_then_never_acts() -> None:
    desk = Desk(NARROW)
    desk.governor.propose({"limits.gross_exposure": "30%"}, "less")
    assert desk.policy.limits.gross_exposure_frac == D("0.3")


TIGHT = {"QUARTERDECK_KILL_SWITCH_DAILY_LOSS": "2%", "QUARTERDECK_LIMITS_DAILY_LOSS": "2%"}


async def test_change_that_contradicts_what_is_in_force_by_now_is_refused_at_its_approval() -> None:
    desk = Desk(Policy())
    desk.governor.propose({"limits.risk_per_trade": "3%"}, "braver")
    desk.start(Policy(), TIGHT)
    with pytest.raises(
        UsageError, match=r"cr-1 cannot be approved: with .*_DAILY_LOSS.* risk_per_trade 3% is more than"
    ):
        await desk.governor.approve("cr-1", desk.code("cr-1"), PASSPHRASE, "", "admin")
    assert (desk.waiting(), desk.policy.limits.risk_per_trade_frac) == (["cr-1"], D("0.01"))


async def test_approved_change_that_contradicts_what_is_in_force_once_it_is_due_is_closed() -> None:
    desk = Desk(with_cooling(HOUR_MS))
    desk.governor.propose({"limits.risk_per_trade": "3%"}, "braver")
    await desk.governor.approve("cr-1", desk.code("cr-1"), PASSPHRASE, "", "admin")
    desk.start(with_cooling(HOUR_MS), TIGHT)
    desk.tick(HOUR_MS)
    assert (desk.waiting(), desk.policy.limits.risk_per_trade_frac) == ([], D("0.01"))
    assert "one trade at its stop" in of_kind(desk, ChangeAnswered)[-1].note


def test_start_is_refused_when_a_variable_makes_limits_contradict_each_other() -> None:
    with pytest.raises(UsageError, match=r"with QUARTERDECK_KILL_SWITCH_LOSS: .* one trade at its stop"):
        Desk(Policy()).start(Policy(), {"QUARTERDECK_KILL_SWITCH_LOSS": "0.5%"})


def with_spread(spread: str, half_spread: str) -> Policy:
    base = Policy()
    limits, paper = replace(base.limits, spread_frac=D(spread)), replace(base.paper, half_spread_frac=D(half_spread))
    return replace(base, limits=limits, paper=paper)


async def test_edited_file_whose_looser_half_waits_holds_what_belongs_to_it_and_starts() -> None:
    desk = Desk(Policy())
    wanted = with_spread("0.02", "0.006")
    for _ in range(2):
        desk.start(wanted)
        assert (desk.policy, desk.waiting()) == (Policy(), ["cr-1"])
    await desk.governor.approve("cr-1", desk.code("cr-1"), PASSPHRASE, "", "admin")
    assert (desk.policy, desk.books.governance.breach) == (wanted, "")


async def test_half_of_a_group_that_is_edited_later_is_asked_for_with_the_half_that_was_rejected() -> None:
    desk = Desk(Policy())
    desk.start(with_spread("0.02", "0.0002"))
    await desk.governor.reject("cr-1", PASSPHRASE, "", "admin")
    wanted = with_spread("0.02", "0.006")
    desk.start(wanted)
    assert desk.policy == Policy()
    await desk.governor.approve("cr-2", desk.code("cr-2"), PASSPHRASE, "", "admin")
    assert desk.policy == wanted


async def test_tighter_limit_of_a_file_that_contradicts_what_was_approved_waits_with_the_reason() -> None:
    desk = Desk(Policy())
    desk.governor.propose({"limits.risk_per_trade": "3%"}, "braver")
    await desk.governor.approve("cr-1", desk.code("cr-1"), PASSPHRASE, "", "admin")
    file = replace(Policy(), limits=replace(Policy().limits, daily_loss_frac=D("0.02"), trades_per_day=7))
    desk.start(file)
    assert (desk.policy.limits.daily_loss_frac, desk.policy.limits.trades_per_day) == (D("0.03"), 7)
    (request,) = desk.books.governance.requests.values()
    assert [each.field for each in request.changes] == ["limits.daily_loss"]
    assert "risk_per_trade 3% is more than [limits] daily_loss 2%" in request.reason
    desk.governor.propose({"limits.risk_per_trade": "1%"}, "less after all")
    desk.start(file)
    assert (desk.policy.limits.daily_loss_frac, desk.waiting()) == (D("0.02"), [])


@pytest.mark.fault("U09")
async def test_request_on_a_policy_that_has_moved_is_stale_and_never_applies() -> None:
    desk = Desk(Policy())
    desk.governor.propose(MORE, "more room")
    code = desk.code("cr-1")
    desk.governor.propose({"limits.trades_per_day": "10"}, "less of that")
    with pytest.raises(RefusedError, match="stale"):
        await desk.governor.approve("cr-1", code, PASSPHRASE, "", "admin")
    assert (positions(desk), desk.waiting()) == (5, [])
    assert of_kind(desk, ChangeAnswered)[-1].answer is Verdict.STALE


@pytest.mark.fault("U09")
async def test_code_of_another_change_approves_nothing() -> None:
    desk = Desk(Policy())
    desk.governor.propose(MORE, "more room")
    old = desk.code("cr-1")
    await desk.governor.reject("cr-1", PASSPHRASE, "no", "admin")
    desk.governor.propose({"limits.open_positions": "900"}, "far more")
    with pytest.raises(RefusedError, match="not the code"):
        await desk.governor.approve("cr-2", old, PASSPHRASE, "", "admin")
    assert positions(desk) == 5


@pytest.mark.fault("U06")
async def test_request_is_answered_once() -> None:
    desk = Desk(Policy())
    desk.governor.propose(MORE, "more room")
    code = desk.code("cr-1")
    await desk.governor.approve("cr-1", code, PASSPHRASE, "", "admin")
    with pytest.raises(RefusedError, match="answered already"):
        await desk.governor.approve("cr-1", code, PASSPHRASE, "", "admin")


async def test_rejected_request_changes_nothing_and_keeps_its_note() -> None:
    desk = Desk(Policy())
    desk.governor.propose(MORE, "more room")
    await desk.governor.reject("cr-1", PASSPHRASE, "not this week", "admin")
    assert (positions(desk), desk.waiting()) == (5, [])
    assert of_kind(desk, ChangeAnswered)[-1].note == "not this week"


async def test_approved_change_cools_off_over_a_restart() -> None:
    desk = Desk(with_cooling(HOUR_MS))
    desk.governor.propose(MORE, "more room")
    said = await desk.governor.approve("cr-1", desk.code("cr-1"), PASSPHRASE, "", "admin")
    assert "60 min" in said
    desk.tick(HOUR_MS - 1)
    desk.start(with_cooling(HOUR_MS))
    assert positions(desk) == 5
    desk.tick(1)
    assert positions(desk) == 8


async def test_approved_change_can_still_be_rejected_while_it_cools_off() -> None:
    desk = Desk(with_cooling(HOUR_MS))
    desk.governor.propose(MORE, "more room")
    await desk.governor.approve("cr-1", desk.code("cr-1"), PASSPHRASE, "", "admin")
    await desk.governor.reject("cr-1", PASSPHRASE, "second thoughts", "admin")
    desk.tick(2 * HOUR_MS)
    assert positions(desk) == 5


async def test_tightening_while_another_change_cools_off_makes_that_one_stale() -> None:
    desk = Desk(with_cooling(HOUR_MS))
    desk.governor.propose(MORE, "more room")
    await desk.governor.approve("cr-1", desk.code("cr-1"), PASSPHRASE, "", "admin")
    desk.governor.propose(LESS, "no, less")
    desk.tick(2 * HOUR_MS)
    assert (positions(desk), desk.waiting()) == (3, [])


@pytest.mark.fault("W07")
async def test_live_an_approved_loosening_takes_effect_when_armed_again() -> None:
    desk = Desk(Policy(), Mode.LIVE)
    desk.governor.propose(MORE, "more room")
    said = await desk.governor.approve("cr-1", desk.code("cr-1"), PASSPHRASE, "", "admin")
    desk.tick(HOUR_MS)
    assert (positions(desk), "armed again" in said) == (5, True)
    desk.start(Policy())
    assert positions(desk) == 8


# -- the file ----------------------------------------------------------------------------


@pytest.mark.fault("W07")
def test_edited_file_tightens_at_the_next_start_and_its_loosening_waits() -> None:
    desk = Desk(Policy())
    edited = with_positions(8, replace(Policy(), limits=replace(Policy().limits, trades_per_day=10)))
    desk.start(edited)
    assert (positions(desk), desk.policy.limits.trades_per_day) == (5, 10)
    (request,) = desk.books.governance.requests.values()
    assert request.asked_by is AskedBy.FILE
    rows = len(desk.rows)
    desk.start(edited)
    assert desk.waiting() == ["cr-1"]
    assert len(desk.rows) == rows + 2, "a file that nobody edited asks nothing anew"


def test_request_of_a_file_that_was_edited_back_is_withdrawn() -> None:
    desk = Desk(Policy())
    desk.start(with_positions(8))
    desk.start(Policy())
    assert (desk.waiting(), positions(desk)) == ([], 5)
    assert of_kind(desk, ChangeAnswered)[-1].answer is Verdict.WITHDRAWN


def test_request_of_the_file_that_became_stale_is_asked_anew_at_the_next_start() -> None:
    desk = Desk(Policy())
    desk.start(with_positions(8))
    desk.governor.propose({"limits.trades_per_day": "10"}, "less of that")
    desk.start(with_positions(8))
    (request,) = desk.books.governance.requests.values()
    assert (request.request_id, request.base_version) == ("cr-2", desk.governor.version)


def test_environment_tightens_for_as_long_as_it_is_set() -> None:
    desk = Desk(Policy())
    desk.start(Policy(), {"QUARTERDECK_LIMITS_OPEN_POSITIONS": "2"})
    assert positions(desk) == 2
    desk.start(Policy())
    assert (positions(desk), desk.governor.version) == (5, 1)


def test_new_store_under_a_tightening_variable_keeps_the_files_own_limits_as_version_one() -> None:
    desk = Desk(Policy())
    desk.rows = desk.rows[:1]
    desk.start(Policy(), {"QUARTERDECK_LIMITS_OPEN_POSITIONS": "2"})
    assert positions(desk) == 2
    desk.start(Policy())
    assert positions(desk) == 5


@pytest.mark.parametrize(("mode", "after"), [(Mode.PAPER, 8), (Mode.LIVE, 5)])
def test_policy_without_approvals_lets_the_trader_loosen_on_paper_only(mode: Mode, after: int) -> None:
    free = replace(Policy(), governance=replace(Policy().governance, require_approval=False))
    desk = Desk(free, mode)
    desk.governor.propose(MORE, "more room")
    assert positions(desk) == after
    assert desk.books.governance.breach == ""


def test_policy_without_approvals_asks_all_the_same_when_the_environment_says_so() -> None:
    free = replace(Policy(), governance=replace(Policy().governance, require_approval=False))
    desk = Desk(free)
    desk.start(free, {"AI_GOVERNANCE_REQUIRE_APPROVAL": "true"})
    assert desk.governor.propose(MORE, "more room")[1] == "cr-1"
    assert overlaid(desk.governor.document.policy, {})[0] == free


# -- agents (T4) -------------------------------------------------------------------------


def asks(desk: Desk, asked: dict[str, str], actor: str = "a") -> str:
    return desk.governor.propose(asked, "I think so", actor=actor, asked_by=AskedBy.AGENT)[1]


async def test_agent_may_ask_for_limits_of_its_own_and_a_person_decides() -> None:
    desk = Desk(Policy())
    assert asks(desk, {"agents.a.limits.trades_per_day": "200"}) == "cr-1"
    assert desk.agents["a"].config.limits.trades_per_day == 100
    await desk.governor.approve("cr-1", desk.code("cr-1"), PASSPHRASE, "", "admin")
    assert desk.agents["a"].config.limits.trades_per_day == 200
    desk.start(Policy())
    assert desk.agents["a"].config.limits.trades_per_day == 200


@pytest.mark.parametrize(
    "asked",
    [
        {"limits.open_positions": "8"},
        {"limits.open_positions": "1"},
        {"governance.require_approval": "false"},
        {"agents.b.limits.trades_per_day": "1"},
        {"agents.a.limits.trades_per_day": "1", "ai_budget.usd_per_day": "100"},
        {"agents.a.autonomy": "auto"},
        {"agents.a.limits.trades_per_day\n": "1", "agents.a.model": "x"},
    ],
)
def test_agent_may_ask_for_nothing_else(asked: dict[str, str]) -> None:
    desk = Desk(Policy())
    rows = len(desk.rows)
    with pytest.raises((RefusedError, UsageError)):
        asks(desk, asked)
    assert len(desk.rows) == rows


def test_agent_that_nobody_knows_may_ask_for_nothing() -> None:
    with pytest.raises(RefusedError, match="of its own"):
        asks(Desk(Policy()), {"agents.ghost.limits.trades_per_day": "1"}, "ghost")


def test_agent_has_one_request_open_at_a_time() -> None:
    desk = Desk(Policy())
    asks(desk, {"agents.a.limits.trades_per_day": "200"})
    with pytest.raises(RefusedError, match="asked already"):
        asks(desk, {"agents.a.limits.trades_per_day": "300"})


def test_agent_never_loosens_by_itself_even_where_no_approval_is_needed() -> None:
    free = replace(Policy(), governance=replace(Policy().governance, require_approval=False))
    assert asks(Desk(free), {"agents.a.limits.trades_per_day": "200"}) == "cr-1"


def edited(**limits: object) -> AgentConfig:
    return replace(AGENT, limits=replace(AGENT.limits, **limits))  # type: ignore[arg-type]


def trades(desk: Desk) -> int:
    return desk.agents["a"].config.limits.trades_per_day


def asked_for(desk: Desk) -> list[tuple[str, str, str]]:
    """What waits: field without its agent, old, new."""
    return [
        (each.field.removeprefix("agents.a."), each.old, each.new)
        for request in desk.books.governance.requests.values()
        for each in request.changes
    ]


def test_first_sight_of_an_agent_is_its_base_and_asks_nothing() -> None:
    desk = Desk(Policy())
    assert (desk.waiting(), desk.governor.version, trades(desk)) == ([], 1, 100)


@pytest.mark.fault("W07")
async def test_loosened_agent_file_waits_with_its_diff_and_is_in_force_once_approved() -> None:
    desk = Desk(Policy())
    desk.start(Policy(), agent=edited(trades_per_day=200))
    (request,) = desk.books.governance.requests.values()
    assert (trades(desk), request.asked_by) == (100, AskedBy.FILE)
    assert asked_for(desk) == [("limits.trades_per_day", "100", "200")]
    assert "file says 200 for agents.a.limits.trades_per_day; 100 is in force" in notices(desk.governor)[0]
    rows = len(desk.rows)
    desk.start(Policy(), agent=edited(trades_per_day=200))
    assert (trades(desk), desk.waiting(), len(desk.rows)) == (100, ["cr-1"], rows + 2)
    await desk.governor.approve("cr-1", desk.code("cr-1"), PASSPHRASE, "", "admin")
    assert (trades(desk), desk.books.governance.breach) == (200, "")
    desk.start(Policy(), agent=edited(trades_per_day=200))
    assert (trades(desk), desk.waiting(), notices(desk.governor)) == (200, [], ())


@pytest.mark.fault("W07")
def test_tightened_agent_file_applies_at_once_beside_what_it_loosens() -> None:
    desk = Desk(Policy())
    desk.start(Policy(), agent=edited(trades_per_day=50, confidence_min=D("0.5")))
    assert (trades(desk), desk.agents["a"].config.limits.confidence_min) == (50, D("0.6"))
    assert asked_for(desk) == [("limits.confidence_min", "0.6", "0.5")]
    (applied,) = of_kind(desk, PolicyVersioned)[:1]
    assert [(each.field, each.sense) for each in applied.changes] == [("agents.a.limits.trades_per_day", "tightens")]


@pytest.mark.parametrize(
    ("loosened", "field", "old", "new"),
    [
        ({"autonomy": Autonomy.AUTO}, "autonomy", "approve", "auto"),
        ({"capital_share_frac": D("0.4")}, "capital_share", "20%", "40%"),
        ({"protection": Protection(stop_frac=D("0.05"))}, "protection.stop", "2%", "5%"),
        ({"protection": Protection(stop_frac=None)}, "protection.stop", "2%", "off"),
        ({"pause_after_failures": 50}, "on_failure.pause_after", "5", "50"),
    ],
)
async def test_whatever_limits_an_agent_in_its_file_is_governed(
    loosened: dict[str, object], field: str, old: str, new: str
) -> None:
    base = replace(AGENT, autonomy=Autonomy.APPROVE, capital_share_frac=D("0.2"))
    desk = Desk(Policy(), agent=base)
    wanted = replace(base, **loosened)  # type: ignore[arg-type]
    desk.start(Policy(), agent=wanted)
    assert (desk.agents["a"].config, asked_for(desk)) == (base, [(field, old, new)])
    await desk.governor.approve("cr-1", desk.code("cr-1"), PASSPHRASE, "", "admin")
    desk.start(Policy(), agent=wanted)
    assert (desk.agents["a"].config, desk.waiting()) == (wanted, [])


async def test_instrument_that_a_file_adds_is_seen_and_not_bought_until_it_is_approved() -> None:
    desk = Desk(Policy())
    wanted = replace(AGENT, instruments=(*AGENT.instruments, "paper:ETH/USDT"))
    for _ in range(2):
        desk.start(Policy(), agent=wanted)
        config = desk.agents["a"].config
        assert (config.instruments, config.limits.blocked) == (wanted.instruments, ("paper:ETH/USDT",))
        assert desk.waiting() == ["cr-1"]
    await desk.governor.approve("cr-1", desk.code("cr-1"), PASSPHRASE, "", "admin")
    assert desk.agents["a"].config.limits.blocked == ()
    desk.start(Policy(), agent=wanted)
    assert (desk.agents["a"].config, desk.waiting()) == (wanted, [])


BY_WORTH = edited(sizing=SizingMethod.NOTIONAL, notional_fixed=D(1000))
BY_VOLATILITY = edited(sizing=SizingMethod.VOLATILITY, volatility_target_frac=D("0.005"))
BY_KELLY = edited(sizing=SizingMethod.KELLY, kelly_share_frac=D("0.05"))


@pytest.mark.parametrize(
    ("base", "wanted"),
    [
        (BY_WORTH, AGENT),
        (AGENT, BY_WORTH),
        (BY_WORTH, edited(qty_fixed=D(1))),
        (BY_VOLATILITY, BY_KELLY),
        (BY_KELLY, BY_VOLATILITY),
        (AGENT, BY_VOLATILITY),
    ],
)
async def test_other_way_of_sizing_in_a_file_waits_whole_with_the_figures_that_belong_to_it(
    base: AgentConfig, wanted: AgentConfig
) -> None:
    desk = Desk(Policy(), agent=base)
    for _ in range(2):
        desk.start(Policy(), agent=wanted)
        assert (desk.agents["a"].config, desk.waiting()) == (base, ["cr-1"])
    await desk.governor.approve("cr-1", desk.code("cr-1"), PASSPHRASE, "", "admin")
    assert (desk.agents["a"].config, desk.books.governance.breach) == (wanted, "")
    desk.start(Policy(), agent=wanted)
    assert (desk.agents["a"].config, desk.waiting()) == (wanted, [])


async def test_way_of_sizing_is_proposed_together_with_the_figure_that_belongs_to_it() -> None:
    desk = Desk(Policy(), agent=BY_WORTH)
    with pytest.raises(UsageError, match=r'beside sizing = "notional"; set agents.a.limits.notional_fixed=0 with it'):
        desk.governor.propose({"agents.a.limits.sizing": "risk"}, "by risk")
    _changes, waits = desk.governor.propose(
        {"agents.a.limits.sizing": "risk", "agents.a.limits.notional_fixed": "0"}, "by risk"
    )
    assert desk.agents["a"].config == BY_WORTH, "half of it would have no meaning"
    await desk.governor.approve(waits, desk.code(waits), PASSPHRASE, "", "admin")
    assert desk.agents["a"].config == AGENT


async def test_figure_that_a_file_tightens_for_another_way_of_sizing_than_was_approved_waits() -> None:
    desk = Desk(Policy(), agent=BY_VOLATILITY)
    asked = {"agents.a.limits.sizing": "risk", "agents.a.limits.volatility_target": "1%"}
    _changes, waits = desk.governor.propose(asked, "by risk")
    await desk.governor.approve(waits, desk.code(waits), PASSPHRASE, "", "admin")
    desk.start(Policy(), agent=edited(sizing=SizingMethod.VOLATILITY, volatility_target_frac=D("0.004")))
    assert desk.agents["a"].config.limits == AGENT.limits
    assert [field for field, _old, _new in asked_for(desk)] == ["limits.sizing", "limits.volatility_target"]


KEYS = ("paper:BTC/USDT", "paper:ETH/USDT", "paper:SOL/USDT")


@pytest.mark.parametrize("by", ["instruments", "allowed"])
def test_name_that_a_file_takes_out_as_it_adds_another_is_out_for_good(by: str) -> None:
    btc, eth, sol = KEYS
    made = lambda *keys: edited(allowed=keys) if by == "allowed" else replace(AGENT, instruments=keys)  # noqa: E731
    desk = Desk(Policy(), agent=made(btc, sol))
    desk.start(Policy(), agent=made(btc, eth))
    assert asked_for(desk) == [(f"limits.{by}" if by == "allowed" else by, f'["{btc}"]', f'["{btc}", "{eth}"]')]
    desk.start(Policy(), agent=made(btc, eth, sol))
    config = desk.agents["a"].config
    assert config.limits.allowed == (btc,) if by == "allowed" else config.limits.blocked == (eth, sol)
    assert desk.books.governance.breach == ""


def test_name_that_a_file_blocks_as_it_lets_another_go_is_blocked_at_once() -> None:
    desk = Desk(Policy(), agent=edited(blocked=KEYS[:1]))
    desk.start(Policy(), agent=edited(blocked=KEYS[1:2]))
    assert set(desk.agents["a"].config.limits.blocked) == set(KEYS[:2])
    assert len(asked_for(desk)) == 1


def test_request_of_an_agent_file_that_was_edited_back_is_withdrawn_and_asked_again_when_it_returns() -> None:
    desk = Desk(Policy())
    desk.start(Policy(), agent=edited(trades_per_day=200))
    desk.start(Policy())
    assert (desk.waiting(), trades(desk)) == ([], 100)
    assert of_kind(desk, ChangeAnswered)[-1].answer is Verdict.WITHDRAWN
    desk.start(Policy(), agent=edited(trades_per_day=200))
    assert (desk.waiting(), trades(desk)) == (["cr-2"], 100)


async def test_rejected_loosening_of_an_agent_file_stays_out_of_force_and_is_not_asked_again() -> None:
    desk = Desk(Policy())
    desk.start(Policy(), agent=edited(trades_per_day=200))
    await desk.governor.reject("cr-1", PASSPHRASE, "no", "admin")
    desk.start(Policy(), agent=edited(trades_per_day=200))
    assert (desk.waiting(), trades(desk)) == ([], 100)
    desk.start(Policy(), agent=edited(trades_per_day=300))
    assert (asked_for(desk), trades(desk)) == ([("limits.trades_per_day", "100", "300")], 100)


def test_agent_that_was_away_is_compared_with_what_it_last_ran_with() -> None:
    desk = Desk(Policy())
    desk.start(Policy(), agent=replace(AGENT, name="b"))
    desk.start(Policy(), agent=edited(trades_per_day=200))
    assert (trades(desk), desk.waiting()) == (100, ["cr-1"])


@pytest.mark.parametrize(
    "wanted",
    [edited(trades_per_day=200), replace(AGENT, instruments=(*AGENT.instruments, "paper:ETH/USDT"))],
    ids=["limit", "instrument"],
)
async def test_loosening_that_is_approved_while_the_agent_is_away_is_in_force_when_it_is_back(
    wanted: AgentConfig,
) -> None:
    desk = Desk(Policy())
    desk.start(Policy(), agent=wanted)
    desk.start(Policy(), agent=replace(AGENT, name="b"))
    assert desk.waiting() == ["cr-1"]
    await desk.governor.approve("cr-1", desk.code("cr-1"), PASSPHRASE, "", "admin")
    desk.start(Policy(), agent=wanted)
    assert (desk.agents["a"].config, desk.waiting()) == (wanted, [])


def test_request_of_an_agent_file_made_stale_by_another_version_is_asked_anew() -> None:
    desk = Desk(Policy())
    wanted = edited(trades_per_day=200)
    desk.start(with_positions(8), agent=wanted)
    assert desk.waiting() == ["cr-1", "cr-2"]
    desk.governor.propose({"limits.trades_per_day": "10"}, "less of that")
    desk.start(with_positions(8), agent=wanted)
    assert desk.waiting() == ["cr-3", "cr-4"]
    assert {request.base_version for request in desk.books.governance.requests.values()} == {desk.governor.version}


def test_limit_that_was_tightened_by_a_proposal_is_not_loosened_by_an_edit() -> None:
    desk = Desk(Policy())
    desk.governor.propose({"agents.a.limits.trades_per_day": "7"}, "less")
    desk.start(Policy(), agent=edited(trades_per_day=50))
    assert (trades(desk), asked_for(desk)) == (7, [("limits.trades_per_day", "7", "50")])


def test_policy_without_approvals_takes_a_loosened_agent_file_at_once_on_paper() -> None:
    free = replace(Policy(), governance=replace(Policy().governance, require_approval=False))
    desk = Desk(free)
    desk.start(free, agent=edited(trades_per_day=200))
    assert (trades(desk), desk.waiting(), desk.books.governance.breach) == (200, [], "")


# -- the admin ---------------------------------------------------------------------------


async def test_wrong_passphrase_approves_nothing_and_five_lock_the_admin_out_over_a_restart() -> None:
    desk = Desk(Policy())
    desk.governor.propose(MORE, "more room")
    code = desk.code("cr-1")
    for _ in range(5):
        with pytest.raises(RefusedError, match="not the admin's passphrase"):
            await desk.governor.approve("cr-1", code, "guess", "", "admin")
    desk.start(Policy())
    with pytest.raises(RefusedError, match="locked out"):
        await desk.governor.approve("cr-1", code, PASSPHRASE, "", "admin")
    assert len(of_kind(desk, AdminTried)) == 5
    desk.tick(15 * 60_000)
    await desk.governor.approve("cr-1", code, PASSPHRASE, "", "admin")
    assert (positions(desk), desk.books.governance.wrong_tries) == (8, 0)


async def test_wrong_tries_after_a_lock_lock_for_twice_as_long() -> None:
    desk = Desk(Policy())
    desk.governor.propose(MORE, "more room")
    for _ in range(5):
        with pytest.raises(RefusedError):
            await desk.governor.reject("cr-1", "guess", "", "admin")
    desk.tick(15 * 60_000)
    with pytest.raises(RefusedError, match="30 min"):
        await desk.governor.reject("cr-1", "guess", "", "admin")


async def test_without_a_passphrase_nothing_is_approved_and_the_sentence_says_how_to_set_one() -> None:
    desk = Desk(Policy(), secret=admin(passphrase=""), mode=Mode.PAPER)
    desk.secret.folder = Path("/nowhere")
    desk.governor.propose(MORE, "more room")
    with pytest.raises(RefusedError, match="quarterdeck policy passphrase"):
        await desk.governor.approve("cr-1", desk.code("cr-1"), "", "", "admin")
    await desk.governor.set_passphrase("", "a long one")
    await desk.governor.approve("cr-1", desk.code("cr-1"), "a long one", "", "admin")
    assert positions(desk) == 8


async def test_passphrase_is_changed_only_by_whoever_knows_the_old_one() -> None:
    desk = Desk(Policy())
    with pytest.raises(RefusedError, match="not the admin's"):
        await desk.governor.set_passphrase("guess", "mine from now on")
    assert desk.secret.is_right(PASSPHRASE)


async def test_no_passphrase_is_in_the_journal() -> None:
    desk = Desk(Policy())
    desk.governor.propose(MORE, "more room")
    await desk.governor.approve("cr-1", desk.code("cr-1"), PASSPHRASE, "", "admin")
    assert all(PASSPHRASE not in text for _ts, _kind, text in desk.rows)


def test_hash_is_kept_in_a_keyring_that_encrypts_and_in_a_private_file_without_one(tmp_path: Path) -> None:
    ring = MemoryKeyring()
    admin(tmp_path, ring)
    assert len(ring.kept) == 1
    assert PASSPHRASE not in str(ring.kept)
    untrusted = MemoryKeyring()
    secret = admin(tmp_path, untrusted, passphrase="")
    secret.trusted = ()
    secret.keep(PASSPHRASE)
    assert (untrusted.kept, secret.is_right(PASSPHRASE), secret.is_right("guess")) == ({}, True, False)
    assert (tmp_path / "admin").stat().st_mode & 0o777 == 0o600


@pytest.mark.fault("W09")
def test_file_that_others_may_read_or_that_points_elsewhere_lets_nobody_in(tmp_path: Path) -> None:
    secret = admin(tmp_path, passphrase="")
    secret.trusted = ()
    secret.keep(PASSPHRASE)
    (tmp_path / "admin").chmod(0o640)
    with pytest.raises(UsageError, match="0600"):
        secret.is_right(PASSPHRASE)
    (tmp_path / "admin").rename(tmp_path / "real")
    (tmp_path / "admin").symlink_to(tmp_path / "real")
    with pytest.raises(UsageError, match="file of yours"):
        secret.is_right(PASSPHRASE)


def test_short_passphrase_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="8 to 200"):
        admin(tmp_path, passphrase="short")


# -- the proof ---------------------------------------------------------------------------


def test_version_that_no_approval_explains_is_a_breach() -> None:
    desk = Desk(Policy())
    desk.governor.propose(MORE, "more room")
    (request,) = desk.books.governance.requests.values()
    forged = PolicyVersioned(
        version=2, policy_json=desk.books.governance.policy_json, agents=(), changes=request.changes, actor="x",
        asked_by=AskedBy.CLI, request_id="", reason="",
    )  # fmt: skip
    for event, said in ((forged, "nobody was asked"), (replace(forged, request_id="cr-1"), "nobody approved")):
        desk.start(Policy())
        desk.books.apply(desk.clock.now_ms(), event)
        assert said in desk.books.governance.breach
