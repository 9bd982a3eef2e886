"""What a person can make the engine do: one handler a command, each with one answer (R33)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from engine.api import (
    AgentControl,
    Approve,
    ApproveChange,
    ApproveDifference,
    AskAgain,
    BackUp,
    CancelAll,
    Command,
    ExplainDifference,
    Flatten,
    Halt,
    PreviewTicket,
    ProposeChange,
    Protect,
    Query,
    Reject,
    RejectChange,
    Reply,
    Resolve,
    Resume,
    SetPassphrase,
    SubmitTicket,
    SwitchAi,
    Unblock,
    UnlockKeys,
)
from engine.control import differing, protecting, resolving, resuming, tickets
from engine.control.approving import use
from engine.control.core import Core
from engine.control.governing import Governor
from engine.control.policy_views import change_row
from engine.control.spending import switch_ai
from engine.control.views import certificate_view
from engine.domain.agent import AgentStatus
from engine.domain.events import AgentChanged, ApprovalClosed
from engine.domain.governance import AskedBy, PolicyChange
from engine.domain.money import plain
from engine.domain.order import OrderRole
from engine.domain.policy import OnMissing, TradingState
from engine.domain.risk import Verdict
from engine.errors import QuarterdeckError, RefusedError
from engine.governance.together import apart

Reader = Callable[[str, dict[str, str]], Awaitable[Any]]
"""Answers a Query by name and arguments with rows; the store's, or a status made from the core."""

Backer = Callable[[str], Awaitable[Any]]
"""Makes a backup in a folder, "" for the store's own, and describes it."""

Rerunner = Callable[[AskAgain], Awaitable[Reply]]
"""Asks a model a recorded question again, or says what that would cost."""

AGENT_ACTIONS = {
    "start": AgentStatus.RUNNING,
    "resume": AgentStatus.RUNNING,
    "pause": AgentStatus.PAUSED,
    "stop": AgentStatus.STOPPED,
}


class Handlers:
    """Carries commands out on the engine's thread. A refusal is a Reply, never an exception."""

    def __init__(
        self, core: Core, read: Reader, back_up: Backer | None = None, ask_again: Rerunner | None = None
    ) -> None:
        self._core = core
        self._read = read
        self._back_up = back_up
        self._rerun = ask_again
        self._by_type: dict[type, Callable[[Any], Awaitable[Reply]]] = {
            Halt: self._halt,
            Resume: self._resume,
            CancelAll: self._cancel_all,
            Flatten: self._flatten,
            Approve: self._approve,
            Reject: self._reject,
            Resolve: self._resolve,
            Unblock: self._unblock,
            Protect: self._protect,
            ExplainDifference: self._explain,
            ApproveDifference: self._follow,
            AgentControl: self._agent,
            PreviewTicket: self._preview,
            SubmitTicket: self._submit,
            BackUp: self._backup,
            ProposeChange: self._propose,
            ApproveChange: self._approve_change,
            RejectChange: self._reject_change,
            SetPassphrase: self._passphrase,
            SwitchAi: self._switch_ai,
            UnlockKeys: self._unlock,
            AskAgain: self._ask_again,
            Query: self._query,
        }

    async def handle(self, command: Command) -> Reply:
        """Carry a command out and answer it."""
        try:
            return await self._by_type[type(command)](command)
        except QuarterdeckError as error:
            return Reply(ok=False, text=str(error))
        except Exception as error:  # a command that fails must not take the engine with it (P37)
            return Reply(ok=False, text=f"{type(command).__name__} failed: {type(error).__name__} {error}."[:300])

    async def _halt(self, command: Halt) -> Reply:
        newly = await self._core.halt(command.actor, command.reason)
        text = "HALTED: nothing that adds exposure can leave." if newly else "HALTED already."
        if self._core.unwritten:
            text = f"HALTED in memory, and not on disk yet: {self._core.unwritten}"
        return Reply(ok=True, text=text, data={"trading_state": TradingState.HALTED.value})

    async def _resume(self, command: Resume) -> Reply:
        return await resuming.resume(self._core, command)

    async def _cancel_all(self, command: CancelAll) -> Reply:
        core = self._core
        orders = core.books.orders.values()
        closing = [o for o in orders if o.role is OrderRole.FLATTEN]
        ids = [
            o.client_order_id
            for o in orders
            if o not in closing and (command.include_protection or not o.role.is_protection)
        ]
        still = await core.desk.router.cancel(ids)
        text = f"Canceled {len(ids) - len(still)} of {len(ids)} working orders."
        if not command.include_protection:
            text += " Protective stops and targets stay."
        elif core.policy.protection.missing is not OnMissing.ALARM:
            wait_s = core.policy.protection.deadline_ms / 1000
            text += (
                f" A position that should have a stop has one again, or is closed, after {wait_s:g} s, by the policy."
            )
        if closing:
            text += " The closing orders of the flatten under way stay."
        data = {"asked": len(ids), "still_working": still}
        return Reply(ok=not still, text=text, data=data)

    async def _flatten(self, command: Flatten) -> Reply:
        core = self._core
        started = await core.start_flatten(command.actor, f"flatten asked for by {command.actor}")
        certificate, blind = core.books.last_certificate, core.flattening.blind
        if blind is not None:
            text = f"HALTED in memory; the journal cannot be written, so the emergency file is used: {blind.told}."
            return Reply(ok=True, text=text)
        if not core.flattening.is_under_way and started and certificate is not None:
            word = "Flat" if certificate.flat else "NOT flat"
            text = f"{word} by certificate {certificate.flatten_id}."
            return Reply(ok=certificate.flat, text=text, data=certificate_view(core))
        text = "Flatten started: HALTED, orders canceled, closing orders sent; the certificate follows."
        waits = f" It waits for {'; '.join(core.flattening.waiting)}." if core.flattening.waiting else ""
        return Reply(ok=True, text=(text if started else "A flatten is under way already.") + waits)

    async def _approve(self, command: Approve) -> Reply:
        core = self._core
        waiting = core.desk.approvals.waiting.get(command.approval_id)
        if waiting is None:
            raise RefusedError(f"{command.approval_id} is not waiting: it was answered already, or has expired.")
        if command.code.strip().upper() != waiting.code:
            raise RefusedError("That is not the code on the card; nothing was approved.")
        core.desk.approvals.take(command.approval_id)
        status, refusal = await use(core.desk, core.policy, waiting, command.actor)
        if refusal:
            raise RefusedError(f"Approved too late: {refusal}.")
        intent = waiting.intent
        return Reply(ok=True, text=f"Approved: {intent.side} {plain(intent.qty)} {intent.instrument}: {status}.")

    async def _reject(self, command: Reject) -> Reply:
        if self._core.desk.approvals.take(command.approval_id) is None:
            raise RefusedError(f"{command.approval_id} is not waiting: it was answered already, or has expired.")
        closed = ApprovalClosed(
            approval_id=command.approval_id, answer="rejected", actor=command.actor, note=command.note[:300]
        )
        self._core.journal.record(self._core.desk.clock.now_ms(), closed)
        return Reply(ok=True, text="Rejected; nothing was sent.")

    async def _resolve(self, command: Resolve) -> Reply:
        return Reply(ok=True, text=await resolving.resolve(self._core, command))

    async def _unblock(self, command: Unblock) -> Reply:
        return Reply(ok=True, text=resolving.unblock(self._core, command))

    async def _protect(self, command: Protect) -> Reply:
        rests, text = await protecting.protect(self._core, command)
        return Reply(ok=rests, text=text)

    async def _explain(self, command: ExplainDifference) -> Reply:
        return Reply(ok=True, text=differing.explain(self._core, command))

    async def _follow(self, command: ApproveDifference) -> Reply:
        return Reply(ok=True, text=await differing.approve(self._core, command))

    async def _agent(self, command: AgentControl) -> Reply:
        core, status = self._core, AGENT_ACTIONS.get(command.action)
        if status is None:
            raise RefusedError(f"No action {command.action!r}; there are start, pause, resume and stop.")
        if command.agent not in core.agents:
            raise RefusedError(f"No agent {command.agent!r}; there are: {', '.join(core.agents) or 'none'}.")
        waits = command.agent in core.books.standing.failing.until_ms
        if core.books.agent_status.get(command.agent) is not status or waits:
            change = AgentChanged(agent=command.agent, status=status, actor=command.actor, reason=command.reason)
            core.journal.record(core.desk.clock.now_ms(), change)
            core.agents[command.agent].failures = 0
        return Reply(ok=True, text=f"{command.agent} is {status.value}.", data={"agent": command.agent})

    async def _preview(self, command: PreviewTicket) -> Reply:
        shown = tickets.preview(self._core, command.ticket)
        refusing = next((check for check in shown.checks if check.verdict is Verdict.REFUSE), None)
        refused = f"Refused. {tickets.way_out(refusing)}" if refusing else "Refused."
        return Reply(ok=True, text=refused if shown.refused else "Passes.", data=shown)

    async def _submit(self, command: SubmitTicket) -> Reply:
        return Reply(ok=True, text=await tickets.submit(self._core, command.ticket, command.preview_id))

    async def _switch_ai(self, command: SwitchAi) -> Reply:
        return Reply(ok=True, text=switch_ai(self._core, command))

    async def _unlock(self, command: UnlockKeys) -> Reply:
        if self._core.unlocking is None:
            raise RefusedError("This engine has no key file to unlock.")
        return Reply(ok=True, text=await self._core.unlocking.unlock(command.passphrase, command.actor))

    async def _ask_again(self, command: AskAgain) -> Reply:
        if self._rerun is None:
            raise RefusedError("This engine asks no models.")
        return await self._rerun(command)

    async def _backup(self, command: BackUp) -> Reply:
        if self._back_up is None:
            raise RefusedError("Nothing here makes backups; use `quarterdeck db backup`.")
        return Reply(ok=True, text="Backed up, and proven.", data=await self._back_up(command.to))

    async def _propose(self, command: ProposeChange) -> Reply:
        governor = governor_of(self._core)
        via = AskedBy.CLI if command.via == "cli" else AskedBy.TRADER
        changes, waits = governor.propose(command.changes, command.reason, actor=command.actor, asked_by=via)
        data = {"changes": [change_row(each) for each in changes], "request_id": waits, "version": governor.version}
        return Reply(ok=True, text=_proposed(changes, waits, governor), data=data)

    async def _approve_change(self, command: ApproveChange) -> Reply:
        text = await governor_of(self._core).approve(
            command.request_id, command.code, command.passphrase, command.note, command.actor
        )
        return Reply(ok=True, text=text)

    async def _reject_change(self, command: RejectChange) -> Reply:
        governor = governor_of(self._core)
        text = await governor.reject(command.request_id, command.passphrase, command.note, command.actor)
        return Reply(ok=True, text=text)

    async def _passphrase(self, command: SetPassphrase) -> Reply:
        return Reply(ok=True, text=await governor_of(self._core).set_passphrase(command.old, command.new))

    async def _query(self, command: Query) -> Reply:
        return Reply(ok=True, text="", data=await self._read(command.name, dict(command.args)))


def _proposed(changes: tuple[PolicyChange, ...], waits: str, governor: Governor) -> str:
    """Say what of a proposal is in force, and what waits for whom."""
    at_once, waiting = apart(changes) if waits else (changes, ())
    said = []
    if at_once:
        said.append(f"In force as version {governor.version}: {_listed(at_once)}.")
    if waits:
        command = f"quarterdeck policy approve {waits} {governor.book.requests[waits].code}"
        said.append(f"{waits} waits for the admin, `{command}`: {_listed(waiting)}.")
    return " ".join(said)


def _listed(changes: Iterable[PolicyChange]) -> str:
    return ", ".join(f"{each.field} {each.old} -> {each.new} ({each.sense.value})" for each in changes)


def governor_of(core: Core) -> Governor:
    """Return what governs the policy; RefusedError where nothing does."""
    if core.governor is None:
        raise RefusedError("Nothing governs the policy here.")
    return core.governor
