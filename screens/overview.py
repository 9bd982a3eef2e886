"""The overview: everything that is going on, on one screen."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.reactive import Reactive
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Input

from engine.api import AgentControl, AgentStatus, AgentView, StreamLine
from screens.model import ConsoleModel
from screens.widgets.account import AccountPane
from screens.widgets.agents import AgentsPane
from screens.widgets.budget import BudgetLine
from screens.widgets.keyline import KeyLine
from screens.widgets.kill import KillPane
from screens.widgets.markets import MarketsPane
from screens.widgets.orders import OrdersPane
from screens.widgets.positions import PositionsPane
from screens.widgets.safety import SafetyLine
from screens.widgets.stream import StreamPane

KEYS = (
    ("a", "approve"),
    ("t", "ticket"),
    ("g", "policy"),
    ("r", "resume"),
    ("/", "filter"),
    ("f", "acted"),
    ("p", "pause"),
    ("?", "help"),
    ("q", "quit"),
    ("tab", "next pane"),
    ("enter", "details"),
    ("ctrl+p", "commands"),
)
# At 80 columns not everything fits: what is left out is on the help screen.
KEYS_NARROW = (("a", "approve"), ("t", "ticket"), ("/", "filter"), ("?", "help"), ("q", "quit"))


class OverviewScreen(Screen[None]):
    """Live panes over one model; while something covers it, nothing in it is drawn."""

    AUTO_FOCUS = "#stream"
    focused: Reactive[Widget | None] = Reactive(None, repaint=False)  # else each tab sends the whole screen again
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "app.approve", "Approve", id="approve"),
        Binding("t", "app.ticket", "Ticket", id="ticket"),
        Binding("g", "app.policy", "Policy change", id="policy"),
        Binding("r", "app.resume", "Resume", id="resume"),
        Binding("u", "app.unlock", "Unlock keys", id="unlock"),
        Binding("i", "app.incidents", "Incidents", id="incidents"),
        Binding("c", "app.certificate", "Certificate", id="certificate"),
        Binding("slash", "filter", "Filter", id="filter"),
        Binding("f", "acted", "Acted only", id="acted"),
        Binding("p", "agent('pause')", "Pause or resume an agent", id="pause"),
        Binding("s", "agent('stop')", "Stop an agent", id="stop"),
        Binding("enter", "details", "Details", id="details"),
        Binding("escape", "clear", "Clear the filter", id="clear"),
        Binding("question_mark,f1", "app.help", "Help", id="help"),
        Binding("q", "app.leave", "Quit", id="leave"),
    ]

    def __init__(self, model: ConsoleModel) -> None:
        super().__init__()
        self.model = model

    def compose(self) -> ComposeResult:
        yield SafetyLine(self.model)
        with Container(id="panes"):
            yield AccountPane(id="account")
            yield KillPane(id="kill")
            yield MarketsPane(id="markets")
            yield PositionsPane(id="positions")
            yield AgentsPane(id="agents")
            yield OrdersPane(id="orders")
            yield BudgetLine(id="budget")
            yield StreamPane(id="stream")
        wide, narrow = (tuple((self.model.key(key), word) for key, word in keys) for keys in (KEYS, KEYS_NARROW))
        yield KeyLine(self.model, wide, narrow, beside=True)

    def show(self) -> None:
        """Draw the model's newest state."""
        self.query_one(SafetyLine).show()
        self.query_one(KeyLine).show()
        self.set_class(self.model.snapshot is not None and self.model.is_stale, "-stale")
        for pane in (AccountPane, KillPane, MarketsPane, PositionsPane, AgentsPane, OrdersPane, BudgetLine, StreamPane):
            self.query_one(pane).show(self.model)

    def on_screen_resume(self) -> None:
        self.call_after_refresh(self.show)

    # -- the stream ----------------------------------------------------------------

    async def action_filter(self) -> None:
        """Type a text that the stream's lines must contain."""
        if found := self.query("#needle"):
            found.first().focus()
            return
        box = Input(self.query_one(StreamPane).needle, placeholder="show only lines with…", compact=True, id="needle")
        await self.query_one("#panes").mount(box, before="#stream")
        box.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        self._filter(event.value)

    async def on_input_submitted(self) -> None:
        await self._close_filter()

    def _filter(self, needle: str) -> None:
        stream = self.query_one(StreamPane)
        stream.needle, stream.follow = needle.strip(), True
        stream.show(self.model)

    async def _close_filter(self) -> None:
        await self.query("#needle").remove()
        self.query_one(StreamPane).focus()

    async def action_clear(self) -> None:
        """Take the filter away, and follow the newest line again."""
        self._filter("")
        await self._close_filter()

    def action_acted(self) -> None:
        """Show what was done, leaving the holds out; press again for everything."""
        stream = self.query_one(StreamPane)
        stream.acted_only = not stream.acted_only
        stream.show(self.model)

    def action_details(self) -> None:
        """Open the line, order or approval under the cursor."""
        chosen = None
        if isinstance(self.focused, (StreamPane, OrdersPane)):
            chosen = self.focused.chosen()
        if chosen is None:
            return
        if isinstance(chosen, StreamLine) or hasattr(chosen, "client_order_id"):
            self.app.action_details(chosen)  # type: ignore[attr-defined]
        elif hasattr(chosen, "approval_id"):
            self.app.action_approve(chosen.approval_id)  # type: ignore[attr-defined]

    # -- the agents ----------------------------------------------------------------

    def action_agent(self, word: str) -> None:
        """Pause, resume, start or stop the agent under the cursor."""
        pane = self.query_one(AgentsPane)
        if self.focused is not pane and len(pane.items) != 1:
            pane.focus()
            self.model.note("Choose the agent with the arrows, then press the key again.")
            self.show()
            return
        agent = pane.chosen()
        if agent is not None:
            command = AgentControl(agent=agent.name, action=_action(agent, word))
            self.app.run_worker(partial(self.model.ask, command), group="command")


def _action(agent: AgentView, word: str) -> str:
    if word == "stop":
        return "stop"
    return {AgentStatus.RUNNING: "pause", AgentStatus.PAUSED: "resume", AgentStatus.STOPPED: "start"}[agent.status]
