"""All commands by name (ctrl+p), under the safety line like everything else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from textual.app import ComposeResult
from textual.command import CommandPalette, DiscoveryHit, Hit, Hits, Provider
from textual.content import Content

from engine.api import AgentControl, AgentStatus, OrderStatus
from screens.format import safe
from screens.model import ConsoleModel
from screens.widgets.keyline import KeyLine
from screens.widgets.safety import SafetyLine

NAMED = (
    ("Halt", "halt", "F8 · no new exposure, at once"),
    ("Cancel all orders", "cancel_all", "F9 · those that protect nothing"),
    ("Flatten", "flatten", "F10 · asks for a typed word, then closes every position"),
    ("Resume trading", "resume", "r · asks for a reason"),
    ("Approve the oldest trade", "approve", "a · opens its card"),
    ("Policy change that waits", "policy", "g · opens the oldest one's card"),
    ("Ticket", "ticket", "t · a trade of your own"),
    ("Unlock keys", "unlock", "u · asks for the key file's passphrase"),
    ("AI spend", "spend", "what models cost, what is left of the caps, and when it runs out"),
    ("Switch models on or off", "ai", "asks for a reason"),
    ("Incidents", "incidents", "i · what went wrong, INC on the first line, and what to do about it"),
    ("Flatten certificate", "certificate", "c · the last one"),
    ("Bell on or off", "toggle_bell", "rings when a trade begins to wait for you"),
    ("Help", "help", "? · every key"),
    ("Quit", "leave", "q · leaving never trades"),
)
ACTIONS = {
    AgentStatus.RUNNING: ("pause", "stop"),
    AgentStatus.PAUSED: ("resume", "stop"),
    AgentStatus.STOPPED: ("start",),
}

Entry = tuple[str, Callable[[], object], str]


class Commands(Provider):
    """What the keys do, and what can be done to each agent."""

    async def discover(self) -> Hits:
        for name, run, told in self._entries():
            yield DiscoveryHit(Content(name), run, text=name, help=told)

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for name, run, told in self._entries():
            score = matcher.match(name)
            if score > 0:
                # not matcher.highlight(): it reads the name as markup, and an agent's name may be anything
                yield Hit(score, Content(name), run, text=name, help=told)

    def _entries(self) -> Iterator[Entry]:
        model: ConsoleModel = self.app.model  # type: ignore[attr-defined]
        for name, action, told in NAMED:
            key, dot, rest = told.partition(" · ")
            yield name, getattr(self.app, f"action_{action}"), f"{model.key(key)}{dot}{rest}"
        policy = model.snapshot.policy if model.snapshot else None
        for change in policy.changes if policy else ():
            name = f"Policy change {safe(change.request_id, 12)} of {safe(change.actor, 20)}"
            opened = partial(self.app.action_policy, change.request_id)  # type: ignore[attr-defined]
            yield name, opened, "it waits for the admin"  # the palette reads this as markup: no text of others
        for order in model.snapshot.orders if model.snapshot else ():
            if order.status in (OrderStatus.UNKNOWN, OrderStatus.CANCEL_PENDING):
                name = f"Resolve order {safe(order.client_order_id, 12)} of {safe(order.agent, 20)}"
                told = f"it is {order.status.value}: say what became of it"
                yield name, partial(self.app.action_resolve, order), told  # type: ignore[attr-defined]
        for agent in model.snapshot.agents if model.snapshot else ():
            for word in ACTIONS[agent.status]:
                command = AgentControl(agent=agent.name, action=word)
                send = partial(self.app.run_worker, partial(model.ask, command), group="command")
                yield f"{word.capitalize()} agent {safe(agent.name, 40)}", send, f"it is {agent.status.value}"


class Palette(CommandPalette):
    """Textual's palette with our lines above and below it, and our commands only."""

    def __init__(self, model: ConsoleModel) -> None:
        super().__init__([Commands], placeholder="What to do…", id="--command-palette")
        self.model = model

    def compose(self) -> ComposeResult:
        yield SafetyLine(self.model)
        yield from super().compose()
        yield KeyLine(self.model, (("enter", "do it"), ("esc", "close")))

    def show(self) -> None:
        """Draw the model's newest state."""
        self.query_one(SafetyLine).show()
        self.query_one(KeyLine).show()
