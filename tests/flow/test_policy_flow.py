"""The policy over a running engine: what a change does to real orders, and what is on record of it."""

from __future__ import annotations

import io
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from console.cli import run
from engine.api import ApproveChange, OrderType, PreviewTicket, ProposeChange, RejectChange, Side, SubmitTicket, Ticket
from engine.control.policy_views import policy_table
from engine.domain.agent import AgentConfig
from engine.domain.decision import Direction
from engine.domain.events import PolicyVersioned
from engine.domain.governance import AskedBy
from engine.domain.policy import ApprovalRules, AskFor, GovernanceRules, PaperSettings, Policy, TradingState
from engine.runtime.foresight import preview
from engine.runtime.reads import verify
from tests.flow.conftest import BTC, WIDE
from tests.unit.governance_kit import PASSPHRASE, admin

Make = Callable[..., Awaitable[Any]]
FREE = PaperSettings(half_spread_frac=Decimal(0), slippage_frac=Decimal(0), volume_share_frac=Decimal(1))
PLAIN = Policy(kill=WIDE, paper=FREE)
BUY: dict[str, object] = {"direction": Direction.BUY}
FLAT: dict[str, object] = {"direction": Direction.FLAT}
NONE_A_DAY = replace(PLAIN, limits=replace(PLAIN.limits, trades_per_day=0))


async def propose(world: Any, **changes: str) -> Any:
    named = {name.replace("__", "."): value for name, value in changes.items()}
    return await world.handlers.handle(ProposeChange(changes=named, reason="a test"))


async def approve(world: Any, request_id: str = "cr-1", passphrase: str = PASSPHRASE) -> Any:
    code = world.books.governance.requests[request_id].code
    return await world.handlers.handle(ApproveChange(request_id=request_id, code=code, passphrase=passphrase))


async def test_tightened_limit_refuses_the_very_next_order(make_world: Make) -> None:
    world = await make_world({0: BUY}, policy=PLAIN)
    reply = await propose(world, limits__trades_per_day="0")
    assert "In force as version 2: limits.trades_per_day 50 -> 0 (tightens)" in reply.text
    await world.bars(3, "50000")
    assert world.outcomes("decision") == ["REFUSED"]
    assert world.position() == 0


@pytest.mark.fault("W07")
async def test_loosened_limit_lets_an_order_pass_only_once_it_is_approved(make_world: Make) -> None:
    world = await make_world({0: BUY, 2: BUY}, policy=NONE_A_DAY, admin=admin())
    assert (await propose(world, limits__trades_per_day="5")).data["request_id"] == "cr-1"
    await world.bars(2, "50000")
    assert world.outcomes("decision") == ["REFUSED"]
    assert not (await approve(world, passphrase="guess")).ok
    assert (await approve(world)).ok
    await world.bars(3, "50000")
    assert world.position() == 1
    assert [line.outcome for line in world.stream.after(0).lines if line.kind == "policy"] == [
        "WAITS", "WRONG PASSPHRASE", "APPROVED", "IN FORCE",
    ]  # fmt: skip


async def test_kill_switch_measures_by_the_tightened_limit_at_the_next_mark(make_world: Make) -> None:
    world = await make_world({0: BUY}, policy=PLAIN)
    await world.bars(3, "50000")
    await world.bar("49500")
    assert world.books.state is TradingState.ACTIVE
    await propose(world, kill_switch__loss="0.4%", limits__risk_per_trade="0.3%")
    await world.bar("49500")
    assert world.books.state is TradingState.HALTED


async def test_cooled_off_change_takes_effect_with_the_heartbeat(make_world: Make) -> None:
    slow = replace(NONE_A_DAY, governance=GovernanceRules(cooling_off_ms=300_000))
    world = await make_world(policy=slow, admin=admin())
    await propose(world, limits__trades_per_day="5")
    assert "in 5 min" in (await approve(world)).text
    await world.bars(4, "50000")
    assert world.core.policy.limits.trades_per_day == 0
    await world.bars(1, "50000")
    assert world.core.policy.limits.trades_per_day == 5


@pytest.mark.fault("U09")
async def test_waiting_trade_does_not_outlive_the_policy_it_was_shown_under(
    make_world: Make, tester: AgentConfig
) -> None:
    asks = replace(PLAIN, approvals=ApprovalRules(ask=AskFor.ENTRIES))
    world = await make_world({0: BUY}, policy=asks)
    await world.bars(1, "50000")
    assert len(world.core.desk.approvals.waiting) == 1, "the policy asks for entries of an AUTO agent"
    await propose(world, limits__price_age="30s")
    assert world.core.desk.approvals.waiting == {}
    assert world.books.approvals == {}


async def test_policy_asks_for_entries_and_lets_exits_of_auto_agents_go(make_world: Make) -> None:
    asks = replace(PLAIN, approvals=ApprovalRules(ask=AskFor.ENTRIES, expires_max_ms=60_000))
    world = await make_world({0: BUY, 3: FLAT}, policy=asks)
    await world.bars(1, "50000")
    (waiting,) = world.core.desk.approvals.waiting.values()
    assert waiting.expires_ms == world.clock.now_ms() + 60_000
    await world.core.approve_all("test")
    await world.bars(4, "50000")
    assert (world.position(), len(world.core.desk.approvals.waiting)) == (0, 0)


async def test_refused_ticket_says_that_only_a_change_of_the_policy_lets_it_pass(make_world: Make) -> None:
    world = await make_world(policy=NONE_A_DAY)
    ticket = Ticket(instrument=BTC.key, side=Side.BUY, order_type=OrderType.MARKET, qty=Decimal("0.01"))
    shown = await world.handlers.handle(PreviewTicket(ticket=ticket))
    reply = await world.handlers.handle(SubmitTicket(ticket=ticket, preview_id=shown.data.preview_id))
    for text in (shown.text, reply.text):
        assert "quarterdeck policy propose --set limits.trades_per_day=..." in text
    assert not reply.ok


@pytest.mark.fault("W06")
async def test_every_value_is_shown_with_where_it_comes_from(make_world: Make) -> None:
    world = await make_world(policy=NONE_A_DAY)
    await propose(world, limits__open_positions="2")
    told = policy_table(world.core.governor)
    origins = {row["field"]: (row["value"], row["origin"]) for row in told["values"]}
    assert origins["limits.open_positions"] == ("2", "version 2")
    assert origins["limits.trades_per_day"] == ("0", "file")
    assert origins["limits.price_age"] == ("90s", "default")


@pytest.mark.fault("W07")
async def test_agent_whose_file_was_loosened_trades_by_its_old_limit_until_that_is_approved(
    make_world: Make, tester: AgentConfig, tmp_path: Path
) -> None:
    root, none = tmp_path / "kept", replace(tester, limits=replace(tester.limits, trades_per_day=0))
    (await make_world(agent=none, policy=PLAIN, root=root, durable=True)).close()
    world = await make_world({0: BUY, 2: BUY}, agent=tester, policy=PLAIN, root=root, durable=True, admin=admin())
    assert [line.outcome for line in world.stream.after(0).lines if line.kind == "policy"] == ["IN FORCE", "WAITS"]
    await world.bars(2, "50000")
    assert world.outcomes("decision") == ["REFUSED"]
    assert (await approve(world)).ok
    await world.bars(3, "50000")
    assert world.position() == 1
    world.close()
    again = await make_world(agent=tester, policy=PLAIN, root=root, durable=True)
    assert again.books.governance.requests == {}
    again.close()
    assert verify(root).ok


async def test_policy_and_what_waits_survive_a_restart_and_the_journal_is_proven(
    make_world: Make, tmp_path: Path
) -> None:
    root = tmp_path / "kept"
    world = await make_world(policy=PLAIN, root=root, durable=True, admin=admin())
    await propose(world, limits__open_positions="2")
    await propose(world, limits__gross_exposure="200%")
    await approve(world, "cr-1")
    await propose(world, limits__trades_per_day="500")
    world.close()
    again = await make_world(policy=PLAIN, root=root, durable=True, admin=admin())
    limits = again.core.policy.limits
    assert (limits.open_positions, limits.gross_exposure_frac, limits.trades_per_day) == (2, 2, 50)
    assert list(again.books.governance.requests) == ["cr-2"]
    assert (await again.handlers.handle(RejectChange(request_id="cr-2", passphrase=PASSPHRASE))).ok
    again.close()
    assert verify(root).ok


async def test_version_that_nobody_approved_is_found_by_verify(make_world: Make, tmp_path: Path) -> None:
    world = await make_world(policy=PLAIN, root=tmp_path / "kept", durable=True)
    await propose(world, limits__open_positions="9")
    book = world.books.governance
    forged = PolicyVersioned(
        version=2, policy_json=book.policy_json, agents=(), changes=book.requests["cr-1"].changes, actor="nobody",
        asked_by=AskedBy.CLI, request_id="cr-1", reason="",
    )  # fmt: skip
    world.core.journal.record(world.clock.now_ms(), forged)
    world.close()
    report = verify(tmp_path / "kept")
    assert "request cr-1, which nobody approved" in str(report.first_breach)


async def test_preview_counts_the_refusals_that_would_have_passed_and_what_came_of_them(
    make_world: Make, tmp_path: Path
) -> None:
    world = await make_world({0: BUY, 3: BUY}, policy=NONE_A_DAY, root=tmp_path / "kept")
    await world.bars(2, "50000")
    await world.bars(4, "50500")
    asked = {"changes": json.dumps({"limits.trades_per_day": "3"})}
    told = (await preview(world.paths, world.core, asked))["preview"]
    assert told["decisions"] == 2
    assert told["would_pass"] == {"count": 2, "outcome_known": 1, "won": 1, "value": "500"}
    assert [case["code"] for case in told["cases"]] == ["ACCOUNT_TRADES_PER_DAY"] * 2
    assert any("whether the later ones" in each for each in told["unknown"])
    blind = {"changes": json.dumps({"ai_budget.usd_per_day": "50"})}
    told = (await preview(world.paths, world.core, blind))["preview"]
    assert (told["cases"], "ai_budget.usd_per_day" in told["unknown"][0]) == ([], True)


# -- the command line ----------------------------------------------------------------------


@pytest.fixture
async def store(make_world: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("QUARTERDECK_HOME", str(tmp_path))
    root = tmp_path / "kept"
    (await make_world(root=root, durable=True, policy=PLAIN)).close()
    return root


@pytest.fixture
def said(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, store: Path
) -> Callable[..., tuple[int, str]]:
    """Run a command on the store; typed: what is on its standard input."""

    def go(*args: object, typed: str = "") -> tuple[int, str]:
        monkeypatch.setattr("sys.stdin", io.StringIO(typed))
        capsys.readouterr()
        code = run(["--store", str(store), *map(str, args)])
        out, err = capsys.readouterr()
        return code, out or err

    return go


def test_change_is_proposed_seen_approved_and_told_from_the_shell(
    said: Callable[..., tuple[int, str]], tmp_path: Path, store: Path
) -> None:
    file = tmp_path / "wanted.toml"
    file.write_text("[limits]\nopen_positions = 8\ntrades_per_day = 20\n")
    code, text = said("policy", "diff", "--file", file)
    assert (code, "loosens" in text, "tightens" in text) == (0, True, True)
    code, text = said("policy", "propose", "--file", file, "--reason", "autumn", "--json")
    told = json.loads(text)
    assert (code, told["ok"], told["data"]["request_id"], told["data"]["version"]) == (0, True, "cr-1", 2)
    (row,) = json.loads(said("policy", "requests", "--json")[1])
    assert (row["status"], row["asked_by"], row["base_version"]) == ("pending", "cli", 2)
    assert said("policy", "diff", "cr-1", "--json")[0] == 0
    assert said("policy", "approve", "cr-1", row["code"], typed="whatever\n")[0] == 1
    assert said("policy", "passphrase", typed="\ncorrect horse\n")[0] == 0
    code, text = said("policy", "approve", "cr-1", row["code"], "--note", "fine", typed="correct horse\n")
    assert (code, "version 3" in text) == (0, True)
    shown = json.loads(said("policy", "show", "--json")[1])
    values = {each["field"]: each["value"] for each in shown["values"]}
    assert (shown["version"], values["limits.open_positions"], values["limits.trades_per_day"]) == (3, "8", "20")
    (row,) = json.loads(said("policy", "requests", "--all", "--json")[1])
    assert (row["status"], row["version"], row["note"]) == ("in force", 3, "fine")
    events = [each["event"] for each in json.loads(said("policy", "events", "--json")[1])]
    assert events == ["in force", "approved", "requested", "in force"]
    code, text = said("status")
    assert "policy version 3" in text
    assert said("policy", "propose", "--set", "limits.open_positions=9", "--reason", "more")[0] == 0
    assert said("policy", "propose", "--set", "limits.open_positions=7", "--reason", "less")[0] == 0
    (row,) = json.loads(said("policy", "requests", "--json")[1])
    assert row["note"] == "stale: version 4 is in force; propose it again"
    assert verify(store).ok


def test_change_is_rejected_from_the_shell_with_a_note(said: Callable[..., tuple[int, str]]) -> None:
    said("policy", "passphrase", typed="\ncorrect horse\n")
    code, text = said("policy", "propose", "--set", "limits.open_positions=8", "--reason", "more")
    (row,) = json.loads(said("policy", "requests", "--json")[1])
    assert (code, row["base_version"], row["note"]) == (0, 1, None), "a new store's first version is 1, and in force"
    assert f"`quarterdeck policy approve cr-1 {row['code']}`" in text
    code, text = said("policy", "reject", "cr-1", "--note", "no", typed="correct horse\n")
    assert (code, "changes nothing" in text) == (0, True)
    assert said("policy", "requests") == (0, "No change of the policy waits.\n")


@pytest.mark.parametrize(
    ("args", "code", "told"),
    [
        (("propose", "--set", "limits.open_positions=8"), 2, "--reason"),
        (("propose", "--reason", "x"), 2, "--file or --set"),
        (("propose", "--set", "open_positions", "--reason", "x"), 2, "FIELD=VALUE"),
        (("propose", "--set", "limits.open_position=8", "--reason", "x"), 1, "did you mean limits.open_positions"),
        (("propose", "--set", "limits.open_positions=5", "--reason", "x"), 1, "in force already"),
        (("propose", "--set", "kill_switch.warn_at=90%", "--reason", "x"), 1, "The proposal: [kill_switch]: "),
        (
            ("propose", "--set", "limits.risk_per_trade=9%", "--reason", "x"),
            1,
            "one trade at its stop would stop trading",
        ),
        (("approve", "cr-9", "ABCD"), 1, "does not wait"),
        (("diff", "cr-9"), 1, "does not wait"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_sentence(
    said: Callable[..., tuple[int, str]], args: tuple[str, ...], code: int, told: str
) -> None:
    found, text = said("policy", *args)
    assert (found, told in text, text.count("\n")) == (code, True, 1)
