"""The console: the engine in a thread of its own, the screens over a model that pulls from it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import ClassVar, Protocol

if os.environ.get("SSH_CONNECTION"):  # read by textual when it is imported
    os.environ.setdefault("TEXTUAL_FPS", "12")
    os.environ.setdefault("TEXTUAL_ANIMATIONS", "none")
    os.environ.setdefault("TEXTUAL_SMOOTH_SCROLL", "0")

from textual import work
from textual.app import App
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.worker import Worker, WorkerError, WorkerState

from console.keymap import shown
from console.leaving import SCREEN_ENDS_S, continuing, end_within, leaving_on_signals
from console.theme import QUARTERDECK, VARIABLES
from engine.api import ApprovalView, CancelAll, EngineClient, OrderView, StreamLine, TradingState
from screens.model import ConsoleModel, machine_ms
from screens.overview import OverviewScreen
from screens.widgets.lines import INK_CLASSES
from screens.widgets.safety import SafetyLine

PULL_S = 0.5 if os.environ.get("SSH_CONNECTION") else 0.25
ATTACH_S = 0.05
STOP_S = 10.0


class EngineHost(Protocol):
    """An engine that can be run."""

    @property
    def client(self) -> EngineClient | None:
        """How to talk to it; None before it is up."""
        ...

    @property
    def ready(self) -> threading.Event:
        """Set once client may be used."""
        ...

    @property
    def error(self) -> str | None:
        """The sentence that says why it ended; None when it ended as asked."""
        ...

    async def run(self) -> None:
        """Run the engine until it is asked to stop; called in a thread with a loop of its own."""
        ...

    def request_stop(self) -> None:
        """Ask it to stop, from any thread."""
        ...


def style_sheet() -> Path:
    """Return console.tcss: beside this file in a wheel, above it in a source tree."""
    here = Path(__file__).parent
    inside = here / "console.tcss"
    return inside if inside.exists() else here.parent / "console.tcss"


def known_bindings() -> dict[str, str]:
    """Return every binding that keymap.toml may name, with its own keys."""
    bindings = [*QuarterdeckApp.BINDINGS, *OverviewScreen.BINDINGS]
    return {each.id: each.key for each in bindings if isinstance(each, Binding) and each.id}


class QuarterdeckApp(App[int]):
    """The one app. open_engine is called in the engine's thread after the first paint: its imports delay no key."""

    TITLE = "Quarterdeck"
    CSS_PATH = style_sheet()
    COMPONENT_CLASSES: ClassVar[set[str]] = INK_CLASSES
    ENABLE_COMMAND_PALETTE = True
    COMMAND_PALETTE_BINDING = "ctrl+p"
    HORIZONTAL_BREAKPOINTS = [  # noqa: RUF012
        (0, "-slim"), (72, "-narrow"), (110, "-wide"), (170, "-vast"),
    ]  # fmt: skip
    VERTICAL_BREAKPOINTS = [  # noqa: RUF012
        (0, "-flat"), (16, "-low"), (22, "-short"), (34, "-tall"), (50, "-high"),
    ]  # fmt: skip
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f8", "halt", "Halt", id="halt", priority=True, tooltip="Stop all new exposure, at once"),
        Binding("f9", "cancel_all", "Cancel all", id="cancel_all", priority=True, tooltip="Cancel working orders"),
        Binding("f10", "flatten", "Flatten", id="flatten", priority=True, tooltip="Close every position"),
        Binding("ctrl+q,ctrl+c", "leave", "Quit", id="leave_now", priority=True, show=False),
    ]

    def __init__(
        self,
        open_engine: Callable[[], EngineHost],
        keymap: Mapping[str, str] | None = None,
        mono_ms: Callable[[], float] = machine_ms,
        *,
        bell: bool = True,
    ) -> None:
        super().__init__()
        self.model = ConsoleModel(mono_ms)
        self.model.bell_wanted = bell
        self._open_engine = open_engine
        self._host: EngineHost | None = None
        self._engine: Worker[None] | None = None
        self._stop_asked = threading.Event()
        self._engine_ended = threading.Event()
        self._engine_ended.set()
        self._cancelling = False
        self._inside = AsyncExitStack()
        self.register_theme(QUARTERDECK)
        self.theme = QUARTERDECK.name
        if keymap:
            self.set_keymap(dict(keymap))
            self.model.rebound = shown(keymap, known_bindings())

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return VARIABLES

    def get_default_screen(self) -> Screen[None]:
        return OverviewScreen(self.model)

    # -- the engine's life -----------------------------------------------------------

    def on_mount(self) -> None:
        if threading.current_thread() is threading.main_thread():
            self._inside.enter_context(leaving_on_signals(self._stop_engine, self.action_leave, self._engine_ended))
            if self._driver is not None and self._driver.can_suspend:
                self._inside.enter_context(continuing(self._driver, self._stop_asked.is_set))
        self.set_interval(PULL_S, self._tick)
        self._attaching = self.set_interval(ATTACH_S, self._take_client)
        self.call_after_refresh(self._start)

    async def on_unmount(self) -> None:
        self._stop_engine()
        await self._inside.aclose()

    def _start(self) -> None:
        self._engine = self._run_engine()

    @work(thread=True, exclusive=True, group="engine", exit_on_error=False)
    async def _run_engine(self) -> None:
        self._engine_ended.clear()
        try:
            host = self._host = self._open_engine()
            if not self._stop_asked.is_set():
                await host.run()
        finally:
            self._engine_ended.set()

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """An engine that ended without being asked to has failed; its sentence goes on the screen."""
        if event.worker.group != "engine" or not event.worker.is_finished or self._stop_asked.is_set():
            return
        failed = event.worker.error if event.state is WorkerState.ERROR else None
        said = (self._host.error if self._host else None) or (str(failed) if failed else "")
        self.model.client = None
        self.model.error = said or "The engine stopped without saying why; `quarterdeck doctor` looks for the reason."
        self.model.note(self.model.error, "danger")
        self._show()

    def _stop_engine(self) -> None:
        self._stop_asked.set()
        if self._host is not None:
            self._host.request_stop()

    # -- pulling and showing ---------------------------------------------------------

    def _tick(self) -> None:
        if self.model.leaving:
            return  # a terminal that is gone must not be painted on
        self.run_worker(self._pull, group="pull", exit_on_error=False)

    def _take_client(self) -> None:
        host = self._host
        if host is not None and host.ready.is_set() and host.client is not None and not self.model.error:
            self._attaching.stop()
            self.model.attach(host.client)
            if self.model.halt_wanted:
                self.action_halt()
            self._tick()

    async def _pull(self) -> None:
        await self.model.pull()
        self._show()
        if self.model.rings():
            self.bell()

    def _show(self) -> None:
        show = getattr(self.screen, "show", None)
        if show is not None and self.screen.is_mounted and self.is_running:
            show()

    def _show_state(self) -> None:
        """Draw the first line alone: what else there is to draw must not hold up what F8 is answered with."""
        if self.is_running and self.screen.is_mounted:
            for line in self.screen.query(SafetyLine):
                line.show()

    # -- what keys and the palette do --------------------------------------------------

    def action_halt(self) -> None:
        """Stop all new exposure: latched before this returns."""
        self.model.latch_halt()
        self._show_state()
        self.run_worker(self._halt, group="command")

    async def _halt(self) -> None:
        await self.model.pull()
        self._show_state()  # the latch is closed: HALTED is on the screen before the engine's turn comes to write it
        await self.model.halt()
        await self._pull()

    def action_cancel_all(self) -> None:
        """Cancel every working order that protects nothing."""
        if not self._cancelling:
            self._cancelling = True
            self.run_worker(self._cancel_all, group="command")

    async def _cancel_all(self) -> None:
        try:
            await self.model.ask(CancelAll())
            await self._pull()
        finally:
            self._cancelling = False

    def action_flatten(self) -> None:
        """Open the flatten card over whatever is open; it takes a typed word."""
        from screens.flatten import FlattenScreen

        if not isinstance(self.screen, FlattenScreen):
            self._open(FlattenScreen(self.model))

    def action_approve(self, approval_id: str = "") -> None:
        """Open the oldest trade that waits, or the one named."""
        from screens.approve import ApproveScreen

        waiting = self.model.snapshot.approvals if self.model.snapshot else ()
        card = self.model.approval(approval_id) if approval_id else min(waiting, key=_expiry, default=None)
        if card is None:
            self._say("No trade waits for approval.")
        else:
            self._open(ApproveScreen(self.model, card))

    def action_policy(self, request_id: str = "") -> None:
        """Open the oldest change of the policy that waits, or the one named."""
        from screens.policy import PolicyScreen

        policy = self.model.snapshot.policy if self.model.snapshot else None
        waiting = [each for each in policy.changes if request_id in ("", each.request_id)] if policy else []
        if waiting:
            self._open(PolicyScreen(self.model, waiting[0]))
        else:
            in_force = f"; version {policy.version} is in force" if policy else ""
            self._say(f"No change of the policy waits{in_force}.")

    def action_ticket(self) -> None:
        """Open the ticket for a trade of the trader's own."""
        from screens.ticket import TicketScreen

        if self.model.snapshot is None or not self.model.snapshot.markets:
            self._say("No market is known yet; the ticket opens once there is one.")
        else:
            self._open(TicketScreen(self.model))

    def action_resume(self) -> None:
        """Open the card that asks why trading may go on."""
        from screens.resume import ResumeScreen

        if self.model.snapshot is not None and self.model.snapshot.state is TradingState.ACTIVE:
            self._say("Trading is ACTIVE: there is nothing to resume.")
        else:
            self._open(ResumeScreen(self.model))

    def action_resolve(self, order: OrderView) -> None:
        """Open the card that asks what became of an order in doubt."""
        from screens.resolve import ResolveScreen

        self._open(ResolveScreen(self.model, order))

    def action_details(self, subject: StreamLine | OrderView) -> None:
        """Open everything behind a line."""
        from screens.detail import DetailScreen

        self._open(DetailScreen(self.model, subject))

    def action_spend(self) -> None:
        """Open what models cost."""
        from screens.spend import SpendScreen

        self._open(SpendScreen(self.model))

    def action_incidents(self) -> None:
        """Open what went wrong, and what to do about it."""
        from screens.incidents import IncidentsScreen

        self._open(IncidentsScreen(self.model))

    def action_ai(self) -> None:
        """Open the card that switches models on or off."""
        from screens.spend import AiScreen

        self._open(AiScreen(self.model))

    def action_unlock(self) -> None:
        """Open the card that unlocks the key file."""
        from screens.unlock import UnlockScreen

        if self.model.snapshot is not None and self.model.snapshot.keys is not None:
            self._open(UnlockScreen(self.model))
        else:
            self._say("No key is locked.")

    def action_certificate(self) -> None:
        """Open the last flatten's certificate."""
        from screens.detail import CertificateScreen

        certificate = self.model.snapshot.certificate if self.model.snapshot else None
        if certificate is None:
            self._say("No flatten has ended yet, so there is no certificate.")
        else:
            self._open(CertificateScreen(self.model, certificate))

    def action_toggle_bell(self) -> None:
        """Turn the bell of waiting trades off, or on again."""
        self.model.bell_wanted = not self.model.bell_wanted
        self._say("The bell rings when a trade begins to wait." if self.model.bell_wanted else "The bell is off.")

    def action_help(self) -> None:
        """Open the list of keys."""
        from screens.help import HelpScreen

        self._open(HelpScreen(self.model))

    def action_command_palette(self) -> None:
        from console.palette import Palette

        if not isinstance(self.screen, Palette):
            self._open(Palette(self.model))

    def _open(self, screen: Screen[None]) -> None:
        if not self.model.leaving:
            self.model.unnote()  # what an older action answered is no part of what opens now
            self.push_screen(screen)

    def _say(self, text: str) -> None:
        self.model.note(text)
        self._show()

    # -- leaving -----------------------------------------------------------------------

    def action_leave(self) -> None:
        """Leave: the engine stops and writes what it must; nothing trades."""
        if not self.model.leaving:
            self.model.leaving = True
            self._show()
            self._stop_engine()
            self.run_worker(self._leave, group="leave")

    async def _leave(self) -> None:
        if self._engine is not None and not self._engine.is_finished:
            done, _pending = await asyncio.wait({asyncio.ensure_future(_ended(self._engine))}, timeout=STOP_S)
            if not done:
                self._end(1, STUCK)
                return
        self._end(0)

    def _fatal_error(self) -> None:
        """End on an error of the program's own, without the values of its variables: secrets may be there (W11)."""
        from rich.traceback import Traceback

        self.bell()
        self.panic(Traceback(width=None, show_locals=False))

    def _end(self, code: int, message: str | None = None) -> None:
        if not self.is_headless:
            end_within(SCREEN_ENDS_S, code)
        self.exit(code, return_code=code, message=message)


STUCK = (
    "The engine did not stop within 10 s; every order was on disk before it was sent, and the next start explains it."
)


async def _ended(worker: Worker[None]) -> None:
    with contextlib.suppress(WorkerError):
        await worker.wait()


def _expiry(approval: ApprovalView) -> int:
    return approval.expires_in_ms
