"""The policy as a document: text and back, which way a change goes, and what the environment may do."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.config import canonical_json, from_canonical, load_policy, policy_fields
from engine.config.policy import presets
from engine.domain.agent import AgentConfig, AgentLimits, Distance, Measure, Protection, SizingMethod
from engine.domain.governance import Sense
from engine.domain.policy import AccountLimits, AiRules, ApprovalRules, AskFor, KillLimits, OnMissing, Policy
from engine.errors import StoreError, UsageError
from engine.governance.agent_fields import fields_of_agents
from engine.governance.directions import POLICY_WAYS
from engine.governance.document import (
    Document,
    changed,
    differences,
    field_of,
    proposed,
    texts_of,
    with_limits,
    with_value,
)
from engine.governance.environment import overlaid
from engine.governance.texts import read
from tests.unit.situations import AGENT

D = Decimal
OTHER = replace(
    Policy(),
    usd_peg=("USDT",),
    kill=KillLimits(loss_frac=D("0.02")),
    limits=AccountLimits(open_positions=9, price_age_ms=30_000, gross_exposure_frac=D("1.5")),
    ai=AiRules(live_inference=False),
    approvals=ApprovalRules(ask=AskFor.ENTRIES),
)
AGENTS = {AGENT.name: AGENT}

limits = st.builds(
    AccountLimits, open_positions=st.integers(0, 20), trades_per_day=st.integers(0, 200),
    gross_exposure_frac=st.decimals(0, 2, places=3), price_age_ms=st.integers(0, 600).map(lambda s: s * 1_000),
)  # fmt: skip
policies = st.builds(Policy, limits=limits, ai=st.builds(AiRules, live_inference=st.booleans()))


BY_NAME = """
[kill_switch]
gain = "200%"
thresholds = { loss_warn = "1%", stale_data_warn = "20s", venue_failures_warn = 2, gain_warn = "120%" }
[ai_budget.providers.openai]
usd_per_day = "2"
[ai_budget.agents.dip-buyer]
tokens_per_day = 1000
"""


@pytest.fixture(params=[*sorted(presets()), "by name"])
def from_file(request: pytest.FixtureRequest, tmp_path: Path) -> Policy:
    """A policy as a file has it: each preset, and one with tables of the trader's own names in it."""
    if request.param in presets():
        return load_policy(Path(request.param))
    (tmp_path / "policy.toml").write_text(BY_NAME)
    return load_policy(tmp_path / "policy.toml")


def test_policy_of_a_file_can_be_kept_told_apart_and_made_of_its_differences(from_file: Policy) -> None:
    assert from_canonical(Policy, canonical_json(from_file)) == from_file
    assert changed(Document(Policy()), differences(Policy(), from_file)).policy == from_file


@pytest.mark.parametrize("policy", [Policy(), OTHER])
def test_policy_is_the_same_after_it_was_kept_as_json(policy: Policy) -> None:
    assert from_canonical(Policy, canonical_json(policy)) == policy


def test_value_that_is_newer_than_the_record_takes_its_default() -> None:
    assert from_canonical(Policy, '{"cash":"5"}') == Policy(cash=D(5))


@pytest.mark.parametrize("text", ['{"cash":5}', '{"limits":{"none":1}}', "[]", "x", '{"kill":{"action":"no"}}'])
def test_record_that_is_no_policy_is_refused_in_one_sentence(text: str) -> None:
    with pytest.raises(StoreError, match="cannot be read"):
        from_canonical(Policy, text)


@pytest.mark.parametrize("policy", [Policy(), OTHER])
def test_every_value_written_as_text_reads_back_as_itself(policy: Policy) -> None:
    for name, text in texts_of(policy).items():
        field = field_of(name)
        assert field.key.parse(name, read(text)) == field.of(policy), name


@given(old=policies, new=policies)
def test_differences_turn_one_policy_into_the_other_and_back(old: Policy, new: Policy) -> None:
    forth, back = differences(old, new), differences(new, old)
    assert changed(Document(old), forth).policy == new
    assert changed(Document(new), back).policy == old
    opposite = {Sense.TIGHTENS: Sense.LOOSENS, Sense.LOOSENS: Sense.TIGHTENS}
    assert [each.sense for each in back] == [opposite[each.sense] for each in forth]


TIGHTER: dict[str, str] = {
    "kill_switch.gain": "10%", "kill_switch.loss": "1%", "kill_switch.drawdown": "1%", "kill_switch.daily_loss": "1%",
    "limits.open_positions": "4", "limits.trades_per_day": "0", "limits.gross_exposure": "50%",
    "limits.risk_per_trade": "0.5%", "limits.price_age": "10s", "limits.price_collar": "1%",
    "limits.decision_drift": "10bps", "ai_budget.usd_per_day": "0", "ai_budget.tokens_per_day": "1",
    "ai.live_inference": "false", "ai.fallback_paper": "only_reduce", "ai.fallback_live": "no_trades",
    "approvals.ask": "every_trade", "approvals.expires_max": "5m", "governance.cooling_off": "1h",
}  # fmt: skip


@pytest.mark.parametrize(("name", "text"), TIGHTER.items())
def test_value_that_allows_less_tightens_and_the_way_back_loosens(name: str, text: str) -> None:
    (change,) = proposed(Document(Policy()), {name: text}, {})
    assert change.sense is Sense.TIGHTENS
    tight = changed(Document(Policy()), [change])
    (back,) = proposed(tight, {name: change.old}, {})
    assert back.sense is Sense.LOOSENS


def test_word_and_peg_that_say_less_loosen() -> None:
    asked = {"usd_peg": '["USDT"]', "governance.require_approval": "false"}
    assert {each.sense for each in proposed(Document(Policy()), asked, {})} == {Sense.LOOSENS}


def test_cash_of_a_new_store_and_paper_prices_are_no_limits() -> None:
    (change,) = proposed(Document(Policy()), {"cash": "500000"}, {})
    assert change.sense is Sense.NEUTRAL


@pytest.mark.fault("W03", "W05")
@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"limits.open_position": "8"}, "did you mean limits.open_positions"),
        ({"limits.gross_exposure": "5"}, "5%"),
        ({"limits.open_positions": "many"}, "whole number"),
        ({"limits.open_positions": "-1"}, "out of bounds"),
        ({"limits.gross_exposure": "inf"}, "limits.gross_exposure"),
        ({"ai_budget.usd_per_day": "nan"}, "finite"),
        ({"agents.nobody.limits.trades_per_day": "1"}, "no agent 'nobody'"),
        ({"agents.a.limits.trades_a_day": "1"}, "trades_per_day"),
        ({"agents.a.model": "x"}, "has no 'model'"),
        ({"agents.a.instruments": "[]"}, "has no 'instruments'"),
        ({"agents.a.protection.stop": "50%"}, "has no 'protection.stop'"),
        ({"cash": "sk-live-0123456789abcdef"}, "secret"),
    ],
)
def test_proposal_of_what_a_policy_file_may_not_say_is_refused(asked: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        proposed(Document(Policy()), asked, AGENTS)


VARIED = replace(
    AGENT,
    limits=replace(AGENT.limits, qty_max=D(3), allowed=("paper:BTC/USDT",), sizing=SizingMethod.KELLY),
    protection=Protection(
        stop_frac=None, stop_by=Distance(measure=Measure.ATR, amount=D("1.5"), period=20),
        trail=Distance(measure=Measure.PRICE, amount=D(500), unit="USDT"), missing=OnMissing.CLOSE,
    ),
)  # fmt: skip


@pytest.mark.parametrize("agent", [AGENT, VARIED])
def test_every_limit_of_an_agents_file_is_written_as_text_and_put_back(agent: AgentConfig) -> None:
    made = replace(AGENT, limits=AgentLimits(trades_per_day=1), protection=Protection(stop_frac=D("0.5")))
    for name, field in fields_of_agents().items():
        made = field.put(made, field.parse("a", field.text(agent)))
        assert field.of(made) == field.of(agent), name
    assert from_canonical(AgentConfig, canonical_json(agent)) == agent


@pytest.mark.parametrize(
    ("name", "old", "new", "sense"),
    [
        ("protection.stop", "2%", "1%", Sense.TIGHTENS),
        ("protection.stop", "off", "90%", Sense.TIGHTENS),
        ("protection.stop", "2%", "2 ATR", Sense.LOOSENS),
        ("protection.stop", "2 ATR", "1 ATR", Sense.TIGHTENS),
        ("protection.trailing", "1%", "off", Sense.LOOSENS),
        ("protection.missing", "off", "close", Sense.TIGHTENS),
        ("protection.missing", "repair", "off", Sense.LOOSENS),
        ("protection.missing", "alarm", "off", Sense.TIGHTENS),
        ("autonomy", "auto", "approve", Sense.TIGHTENS),
        ("instruments", '["A", "B"]', '["A"]', Sense.TIGHTENS),
        ("instruments", '["A"]', '["A", "B"]', Sense.LOOSENS),
        ("instruments", '["A"]', '["B"]', Sense.NEUTRAL),
        ("limits.qty_max", "5", "off", Sense.LOOSENS),
    ],
)
def test_limit_of_an_agents_file_goes_its_way(name: str, old: str, new: str, sense: Sense) -> None:
    field = fields_of_agents()[name]
    assert field.way.sense(field.parse("a", old), field.parse("a", new)) is sense


def test_agents_own_limit_changes_as_long_as_its_file_says_what_it_said() -> None:
    (change,) = proposed(Document(Policy()), {"agents.a.limits.trades_per_day": "7"}, AGENTS)
    document = changed(Document(Policy()), [change], AGENTS)
    assert (change.old, change.sense) == ("100", Sense.TIGHTENS)
    assert with_limits(AGENT, document.agents).limits.trades_per_day == 7
    edited = replace(AGENT, limits=replace(AGENT.limits, trades_per_day=50))
    assert with_limits(edited, document.agents) is edited


def test_second_change_of_an_agents_limit_is_measured_from_its_file() -> None:
    document = Document(Policy())
    agent = AGENT
    for text in ("7", "9"):
        changes = proposed(document, {"agents.a.limits.trades_per_day": text}, {"a": agent})
        document = changed(document, changes, AGENTS)
        agent = with_limits(AGENT, document.agents)
    assert agent.limits.trades_per_day == 9
    assert [(each.old, each.new) for each in document.agents] == [("100", "9")]


@pytest.mark.fault("W06")
def test_environment_tightens_and_what_it_would_loosen_is_left_aside_and_said() -> None:
    environ = {
        "QUARTERDECK_LIMITS_OPEN_POSITIONS": "3", "AI_DAILY_COST_BUDGET_USD": "50",
        "AI_GOVERNANCE_REQUIRE_APPROVAL": "false", "HOME": "/root",
    }  # fmt: skip
    policy, overlays = overlaid(Policy(), environ)
    assert policy == replace(Policy(), limits=AccountLimits(open_positions=3))
    assert [each.applies for each in overlays] == [True, False, False]
    assert "left aside" in overlays[1].sentence
    assert "policy propose --set ai_budget.usd_per_day=50" in overlays[1].sentence


def test_environment_asks_for_approvals_that_the_policy_does_without() -> None:
    free = replace(Policy(), governance=replace(Policy().governance, require_approval=False))
    policy, _overlays = overlaid(free, {"AI_GOVERNANCE_REQUIRE_APPROVAL": "true"})
    assert policy.governance.require_approval


@given(name=st.sampled_from(sorted(POLICY_WAYS)), new=policies)
def test_no_variable_ever_loosens_a_value(name: str, new: Policy) -> None:
    field = policy_fields()[name]
    variable = "QUARTERDECK_" + name.upper().replace(".", "_")
    base = Policy()
    policy, _overlays = overlaid(base, {variable: texts_of(new)[name]})
    assert POLICY_WAYS[name].sense(field.of(base), field.of(policy)) is not Sense.LOOSENS
    assert with_value(policy, field.path, field.of(base)) == base


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"QUARTERDECK_LIMITS_OPEN_POSITION": "3"}, "did you mean QUARTERDECK_LIMITS_OPEN_POSITIONS"),
        ({"AI_DAILY_COST_BUDGET_USD": "0"}, "0 is none"),
        ({"AI_DAILY_TOKEN_BUDGET": "lots"}, "whole number"),
    ],
)
def test_variable_that_cannot_be_meant_stops_the_start(environ: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        overlaid(Policy(), environ)
