"""What models cost, in the console: the line, the full page, and the switch that asks for a reason."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from engine.api import BudgetView, Query, Reply, SwitchAi
from engine.domain.lane_standing import LaneStanding
from screens.spend import AiScreen, budget_facts
from screens.widgets.agents import AgentsPane
from screens.widgets.budget import budget_row
from tests.ui.fakes import NOW_MS, FakeClient, agent, console, keys, screen_text, snapshot, started

SIZE = (100, 40)
BUDGET = BudgetView(
    usd_spent=Decimal("0.42"), usd_reserved=Decimal("0.03"), usd_cap=Decimal(5), tokens_spent=81_234,
    tokens_cap=500_000, calls=31, tokens_reserved=1_100, usd_month_spent=Decimal("7.5"), usd_month_cap=Decimal(100),
    usd_per_hour=Decimal("0.9"), runs_out_ms=NOW_MS + 3_600_000, decisions=30, trades=4,
    usd_per_decision=Decimal("0.014"), usd_per_trade=Decimal("0.105"), day_pnl_after=Decimal("11.92"),
    share_of_pnl=Decimal("0.034"),
)  # fmt: skip
OFF = replace(BUDGET, off_reason="all: acme:small used 5,100 tokens [b]where[/b] 1,100 was the most")


async def test_page_says_what_is_spent_held_and_left_and_what_that_is_of_the_profit() -> None:
    client = FakeClient(snapshot(budget=BUDGET))
    client.replies[Query] = Reply(ok=True, text="", data={"summary": {"calls": 77}})
    app, _host = console(client)
    async with app.run_test(size=SIZE) as pilot:
        await started(pilot)
        app.action_spend()
        await pilot.pause()
        text = screen_text(app)
        for told in (
            "$0.4200 + $0.0300 held of $5.00", "31 for 30 decisions and 4 trades", "$7.5000 + $0.0000 held of $100.00",
            "$0.9000 an hour: the cap is reached at", "$0.0140", "$0.1050", "+11.92 after what models cost", "77",
        ):  # fmt: skip
            assert told in text, told
        assert client.sent == [Query(name="spend", args={"days": "30"})]


async def test_switching_models_on_again_needs_a_typed_reason() -> None:
    client = FakeClient(snapshot(budget=OFF))
    app, _host = console(client)
    async with app.run_test(size=SIZE) as pilot:
        await started(pilot)
        assert "AI OFF" in screen_text(app)
        app.action_ai()
        await pilot.pause()
        assert "[b]where[/b]" in screen_text(app)
        await keys(pilot, "enter")
        assert client.sent == []
        await keys(pilot, *"bill read", "enter", after_s=20)
        await pilot.pause()
        assert client.sent == [SwitchAi(on=True, reason="bill read")]
        assert not isinstance(app.screen, AiScreen)


def test_agent_and_shadow_are_set_beside_each_other_after_fees_and_tokens() -> None:
    lane = LaneStanding(
        agent="dip", model="here:[b]x[/b]", since_ms=0, agent_net=Decimal(20), spent=Decimal("0.5"),
        lane_net=Decimal("7.25"), lane_fees=Decimal(1), lane_fills=2, added=Decimal("12.5"),
        lane_spent=Decimal("0.25"), agent_after=Decimal("19.5"), lane_after=Decimal(7),
        outcomes={"DECIDED": 3, "TIMED_OUT": 1}, last="TIMED_OUT",
    )  # fmt: skip
    one = agent(name="dip", model="here:own", shadow=lane)
    shown = snapshot(budget=replace(BUDGET, usd_beside=Decimal("0.2")), agents=(one,))
    page = " ".join(text for row in budget_facts(shown, 200) for text, _ink in row)
    assert "$0.2000 for shadows and reruns" in page
    assert "+12.50 by dip: +19.50 of here:own against +7.00 of here:[b]x[/b], both after fees and tokens" in page
    assert "3 DECIDED, 1 TIMED_OUT" in page
    pane = "".join(text for text, _ink in AgentsPane().row(one, 200))
    assert "+12.50 after fees and tokens" in pane


def test_line_names_when_the_cap_is_reached_and_why_models_are_off() -> None:
    line = "".join(text for text, _ink in budget_row(BUDGET, 140))
    assert "$0.42 + $0.03 held of $5.00" in line
    assert "out at" in line
    assert "".join(text for text, _ink in budget_row(OFF, 60)).startswith("AI OFF  all: acme:small used")
