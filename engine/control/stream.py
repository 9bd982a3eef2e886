"""What the journal tells a user interface: one line an event, in a bounded ring that knows what it has dropped."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from engine.api import EventBatch, StreamLine
from engine.domain.budget import Purpose
from engine.domain.decision import AnsweredBy, Outcome, describe_action
from engine.domain.events import (
    Adjusted,
    AdminTried,
    AgentChanged,
    AgentWaits,
    AiSwitched,
    ApprovalAsked,
    ApprovalClosed,
    BesideDone,
    ChangeAnswered,
    ChangeRequested,
    CycleDone,
    CycleSkipped,
    DifferenceClosed,
    DifferenceFound,
    DifferenceKind,
    EntriesBlocked,
    FeePosted,
    FillCorrected,
    Filled,
    FlattenEnded,
    FlattenStarted,
    FundsMoved,
    Incident,
    KeysTried,
    KillTierMoved,
    ModelAsked,
    OrderIntended,
    OrderShown,
    OrdersResolved,
    OrdersUpdated,
    PolicyVersioned,
    ProtectionAsked,
    Recorded,
    ShadowEnded,
    StateChanged,
    StopTrailed,
)
from engine.domain.governance import PolicyChange, tries_words
from engine.domain.killing import KILL_SWITCH, KillRule
from engine.domain.money import plain
from engine.domain.order import OrderStatus
from engine.domain.risk import RiskCheck, Verdict
from engine.risk.killswitch import worded

LINES_KEPT = 2_000


class Stream:
    """The journal's publisher. Holds are not lines: the agents' pane shows them, latest wins."""

    def __init__(self) -> None:
        self._lines: deque[StreamLine] = deque()
        self._dropped_seq = 0
        self.seq = 0

    def publish(self, recorded: Iterable[Recorded]) -> None:
        """Take in what was just committed."""
        for row in recorded:
            for line in lines_of(row):
                self._keep(line)
            self.seq = row.seq  # last: a reader on another thread never sees a seq before its lines

    def after(self, since: int) -> EventBatch:
        """Return the lines after a journal seq; gap says that some between are gone."""
        upto = self.seq  # first: what is published from here on belongs to the next batch
        lines = list(self._lines)  # a copy: the ring is filled by the engine's thread
        newer = tuple(line for line in lines if since < line.seq <= upto)
        return EventBatch(lines=newer, upto_seq=upto, gap=since < self._dropped_seq)

    def _keep(self, line: StreamLine) -> None:
        self._lines.append(line)
        if len(self._lines) > LINES_KEPT:
            self._dropped_seq = self._lines[0].seq
            self._lines.popleft()


def lines_of(row: Recorded) -> Iterator[StreamLine]:
    """Write an event as the stream shows it; most events that are not decisions are one line, holds are none."""
    maker = _MAKERS.get(type(row.event))
    if maker is not None:
        yield from maker(row, row.event)


def _line(row: Recorded, kind: str, **texts: object) -> StreamLine:
    fields = {"agent": "", "instrument": "", "action": "", "confidence": None, "outcome": "", "why": "", "cycle_id": ""}
    return StreamLine(seq=row.seq, ts_ms=row.ts_ms, kind=kind, **{**fields, **texts})  # type: ignore[arg-type]


def _cycle(row: Recorded, event: CycleDone) -> Iterator[StreamLine]:
    stood_in = f"FALLBACK after {event.outcome.value}: " if event.answered_by is AnsweredBy.FALLBACK else ""
    if not event.items:
        why, cycle = event.detail, event.cycle_id
        yield _line(row, "decision", agent=event.agent, outcome=event.outcome.value, why=why, cycle_id=cycle)
    for item in event.items:
        refused = next((_said(check) for check in item.checks if check.verdict is Verdict.REFUSE), "")
        yield _line(
            row,
            "decision",
            agent=event.agent,
            instrument=item.instrument,
            action=describe_action(item.direction, item.current_qty, item.target_qty),
            confidence=item.confidence,
            outcome=item.disposition.value,
            why=stood_in + (refused or item.rationale),
            cycle_id=event.cycle_id,
        )


def _attempted(row: Recorded, event: ModelAsked) -> Iterator[StreamLine]:
    if event.outcome is not Outcome.DECIDED:
        why = f"{event.provider}:{event.model}, attempt {event.attempt}: {event.detail}"
        yield _line(row, "agent", agent=event.agent, outcome=event.outcome.value, why=why, cycle_id=event.cycle_id)


def _beside(row: Recorded, event: BesideDone) -> Iterator[StreamLine]:
    """One line a question that failed, and one a rerun; a shadow's answer shows in its lane."""
    decided = event.outcome is Outcome.DECIDED
    if decided and event.purpose is Purpose.SHADOW:
        return
    why = f"{event.model}: {'' if decided else f'{event.detail}, '}for {plain(event.cost_usd)} USD"
    word = f"{event.purpose.value.upper()} {event.outcome.value}"
    yield _line(row, "agent", agent=event.agent, outcome=word, why=why, cycle_id=event.cycle_id)


def _skipped(row: Recorded, event: CycleSkipped) -> Iterator[StreamLine]:
    yield _line(row, "agent", agent=event.agent, outcome="SKIPPED", why=f"{event.trigger}: {event.reason}")


def _said(check: RiskCheck) -> str:
    return f"{check.code.value} {check.observed}, limit {check.limit}"


def _intended(row: Recorded, event: OrderIntended) -> Iterator[StreamLine]:
    if event.role.is_protection:
        return
    yield _line(
        row,
        "order",
        agent=event.agent,
        instrument=event.instrument,
        action=f"{event.side} {plain(event.qty)} {event.order_type}",
        outcome=event.role.value,
        cycle_id=event.cycle_id,
    )


def _updated(row: Recorded, event: OrdersUpdated) -> Iterator[StreamLine]:
    if event.status in (OrderStatus.REJECTED, OrderStatus.UNKNOWN, OrderStatus.NOT_SENT):
        yield _line(row, "order", action=event.client_order_ids[0], outcome=event.status.value, why=event.reason)


def _shown(row: Recorded, event: OrderShown) -> Iterator[StreamLine]:
    yield _line(row, "order", action=event.client_order_id, outcome="BACK", why=event.reason)


def _resolved(row: Recorded, event: OrdersResolved) -> Iterator[StreamLine]:
    outcome, why = f"ASSUMED {event.status}", f"by {event.actor}: {event.reason}"
    yield _line(row, "order", action=event.client_order_ids[0], outcome=outcome, why=why)


def _held_up(row: Recorded, event: EntriesBlocked) -> Iterator[StreamLine]:
    outcome = "BLOCKED" if event.reason else "UNBLOCKED"
    why = event.reason or f"by {event.actor}: {event.note}"
    yield _line(row, "state", instrument=event.instrument, outcome=outcome, why=why)


def _filled(row: Recorded, event: Filled) -> Iterator[StreamLine]:
    fill = event.fill
    yield _line(
        row,
        "fill",
        agent=event.agent,
        instrument=fill.instrument,
        action=f"{fill.side} {plain(fill.qty)} @ {plain(fill.price)}",
        outcome="FILLED" if not event.role.is_protection else f"{event.role} HIT",
        why=f"fee {plain(fill.fee)} {fill.fee_asset}" if fill.fee else "",
    )


def _asked(row: Recorded, event: ApprovalAsked) -> Iterator[StreamLine]:
    yield _line(
        row,
        "approval",
        agent=event.agent,
        instrument=event.instrument,
        action=f"{event.side} {plain(event.qty)} {event.order_type}",
        outcome="WAITING",
        why="waits for your approval",
        cycle_id=event.cycle_id,
    )


def _answered(row: Recorded, event: ApprovalClosed) -> Iterator[StreamLine]:
    yield _line(row, "approval", action=event.approval_id, outcome=event.answer.upper(), why=event.note)


def _shadow(row: Recorded, event: ShadowEnded) -> Iterator[StreamLine]:
    yield _line(
        row,
        "approval",
        agent=event.agent,
        instrument=event.instrument,
        action=f"{event.side} {plain(event.qty)} REJECTED",
        outcome="WOULD HAVE",
        why=event.sentence,
        cycle_id=event.cycle_id,
    )


def _state(row: Recorded, event: StateChanged) -> Iterator[StreamLine]:
    yield _line(row, "state", agent=event.actor, outcome=event.state.value, why=event.reason)


def _agent(row: Recorded, event: AgentChanged) -> Iterator[StreamLine]:
    yield _line(row, "agent", agent=event.agent, outcome=event.status.value, why=event.reason or f"by {event.actor}")


def _waits(row: Recorded, event: AgentWaits) -> Iterator[StreamLine]:
    left = f"{(event.until_ms - row.ts_ms) / 1000:g} s"
    yield _line(row, "agent", agent=event.agent, outcome="WAITS", why=f"{left}: {event.reason}")


def _tier(row: Recorded, event: KillTierMoved) -> Iterator[StreamLine]:
    unit = KillRule(event.rule).unit
    seen, limit = worded(event.observed, unit), worded(event.limit, unit)
    rose = event.tier.rank > event.was.rank
    why = f"{event.rule} {seen} {'reached' if rose else 'is back below'} {limit}"
    yield _line(row, "kill", agent=KILL_SWITCH, outcome=event.tier.words.upper(), why=why)


def _flatten_started(row: Recorded, event: FlattenStarted) -> Iterator[StreamLine]:
    yield _line(row, "flatten", agent=event.actor, outcome="STARTED", why=event.flatten_id)


def _flatten_ended(row: Recorded, event: FlattenEnded) -> Iterator[StreamLine]:
    left = "; ".join(f"{line.instrument} {plain(line.end_qty)} {line.reason}" for line in event.lines if line.end_qty)
    outcome = "CERTIFIED FLAT" if event.flat else "NOT FLAT"
    yield _line(row, "flatten", outcome=outcome, why=left or f"the venue shows zero after {event.took_ms / 1000:g} s")


def _trailed(row: Recorded, event: StopTrailed) -> Iterator[StreamLine]:
    action = f"stop {plain(event.was)} -> {plain(event.now)}"
    where = {"agent": event.agent, "instrument": event.instrument}
    yield _line(row, "order", action=action, outcome="TRAILED", why=f"it follows {plain(event.best)}", **where)


def _protected(row: Recorded, event: ProtectionAsked) -> Iterator[StreamLine]:
    wanted = [f"{name} {plain(at)}" for name, at in (("stop", event.stop), ("target", event.target)) if at is not None]
    action, outcome = ", ".join(wanted) or "no stop", "ASKED FOR" if wanted else "LEFT BARE"
    where = {"agent": event.agent, "instrument": event.instrument}
    yield _line(row, "order", action=action, outcome=outcome, why=f"by {event.actor}", **where)


def _funds(row: Recorded, event: FundsMoved) -> Iterator[StreamLine]:
    yield _line(row, "funds", action=f"{plain(event.amount)} {event.asset}", outcome="BOOKED", why=event.reason)


def _switched(row: Recorded, event: AiSwitched) -> Iterator[StreamLine]:
    word = f"MODELS {'ON' if event.on else 'OFF'}"
    yield _line(row, "state", action=word, outcome=event.provider or "all", why=f"by {event.actor}: {event.reason}")


def _incident(row: Recorded, event: Incident) -> Iterator[StreamLine]:
    yield _line(row, "incident", outcome=event.code, why=event.text)


def _adjusted(row: Recorded, event: Adjusted) -> Iterator[StreamLine]:
    action, why = f"{plain(event.amount)} {event.asset}", f"{event.kind} by {event.actor}: {event.note}"
    where = {"agent": event.agent, "instrument": event.instrument}
    yield _line(row, "funds", action=action, outcome="ADJUSTED", why=why, **where)


def _corrected(row: Recorded, event: FillCorrected) -> Iterator[StreamLine]:
    was, now = event.was, event.now
    action = f"{was.side} {plain(was.qty)} @ {plain(was.price)} -> {plain(now.qty)} @ {plain(now.price)}"
    yield _line(
        row, "fill", agent=event.agent, instrument=was.instrument, action=action, outcome="CORRECTED", why=event.reason
    )


def _fee(row: Recorded, event: FeePosted) -> Iterator[StreamLine]:
    fill = event.fill
    action, why = f"fee {plain(event.fee)} {event.fee_asset}", f"of trade {fill.trade_id}"
    yield _line(row, "fill", agent=event.agent, instrument=fill.instrument, action=action, outcome="FEE", why=why)


def _differs(row: Recorded, event: DifferenceFound) -> Iterator[StreamLine]:
    told = "state" if event.kind is DifferenceKind.MISSED_FILL else "incident"  # its order explains it at once
    where = {"instrument": event.instrument, "action": event.difference_id}
    yield _line(row, told, outcome=event.kind.value, why=event.detail, **where)


def _settled(row: Recorded, event: DifferenceClosed) -> Iterator[StreamLine]:
    why = f"by {event.actor}: {event.note}"
    yield _line(row, "state", action=event.difference_id, outcome=event.how.value, why=why)


def _versioned(row: Recorded, event: PolicyVersioned) -> Iterator[StreamLine]:
    why = _changes(event.changes) or event.reason
    yield _line(row, "policy", action=f"version {event.version}", outcome="IN FORCE", why=f"{why}; by {event.actor}")


def _requested(row: Recorded, event: ChangeRequested) -> Iterator[StreamLine]:
    why = f"{_changes(event.changes)}; {event.actor} ({event.asked_by}): {event.reason}"
    yield _line(row, "policy", action=event.request_id, outcome="WAITS", why=why)


def _change_answered(row: Recorded, event: ChangeAnswered) -> Iterator[StreamLine]:
    why = f"by {event.actor}" + (f": {event.note}" if event.note else "")
    yield _line(row, "policy", action=event.request_id, outcome=event.answer.value.upper(), why=why)


def _tried(row: Recorded, event: AdminTried) -> Iterator[StreamLine]:
    if not event.right:
        told = "LOCKED OUT" if event.locked_until_ms else "WRONG PASSPHRASE"
        yield _line(row, "policy", outcome=told, why=tries_words(event.wrong_tries))


def _keys_tried(row: Recorded, event: KeysTried) -> Iterator[StreamLine]:
    told = tries_words(event.wrong_tries) if event.wrong_tries else ""
    outcome = "KEYS UNLOCKED" if event.right else "LOCKED OUT" if event.locked_until_ms else "WRONG PASSPHRASE"
    yield _line(row, "keys", outcome=outcome, why=f"by {event.actor}" + (f": {told}" if told else ""))


def _changes(changes: tuple[PolicyChange, ...]) -> str:
    return ", ".join(f"{each.field} {each.old} -> {each.new}" for each in changes)


_MAKERS = {
    CycleDone: _cycle,
    ModelAsked: _attempted,
    BesideDone: _beside,
    CycleSkipped: _skipped,
    OrderIntended: _intended,
    OrdersUpdated: _updated,
    OrderShown: _shown,
    OrdersResolved: _resolved,
    EntriesBlocked: _held_up,
    Filled: _filled,
    ApprovalAsked: _asked,
    ApprovalClosed: _answered,
    ShadowEnded: _shadow,
    StateChanged: _state,
    AiSwitched: _switched,
    AgentChanged: _agent,
    AgentWaits: _waits,
    KillTierMoved: _tier,
    FlattenStarted: _flatten_started,
    FlattenEnded: _flatten_ended,
    StopTrailed: _trailed,
    ProtectionAsked: _protected,
    FundsMoved: _funds,
    Incident: _incident,
    Adjusted: _adjusted,
    FillCorrected: _corrected,
    FeePosted: _fee,
    DifferenceFound: _differs,
    DifferenceClosed: _settled,
    PolicyVersioned: _versioned,
    ChangeRequested: _requested,
    ChangeAnswered: _change_answered,
    AdminTried: _tried,
    KeysTried: _keys_tried,
}
