"""A start reads the policy file and the agents' files: what became tighter applies, what became looser waits (R24)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from engine.config import canonical_json, from_canonical
from engine.domain.agent import AgentConfig
from engine.domain.events import PolicyFileSeen
from engine.domain.governance import AskedBy, ChangeRequest, PolicyChange, Sense, Verdict
from engine.domain.intent import Mode
from engine.domain.policy import GovernanceRules, Policy
from engine.governance.agent_fields import (
    AGENT_PREFIX,
    BLOCKED,
    INSTRUMENTS,
    fields_of_agents,
    parts_of,
    without_hold,
)
from engine.governance.document import Document, changed, differences
from engine.governance.together import apart, fitting, is_grouped, unit_of
from engine.governance.validity import contradiction
from engine.governance.versions import EDITED, Drafting, Wish, is_free, is_stale, stale_words

FILE_EDITED = "the policy file was edited"


def at_start(drafting: Drafting, asked: Policy, rules: GovernanceRules, mode: Mode) -> None:
    """Compare the files with what they said before: what was tightened applies, what was loosened waits.

    Fields that nobody edited stay as they are in force, whatever a file says: an approved change made elsewhere is not
    undone by an old file. A request of a file's that has become stale is asked anew. An agent that was never seen is
    taken as its file has it. What of a file would contradict what is in force beside it waits as well, with the reason.
    """
    before = from_canonical(Policy, drafting.book.file_json)
    edited = {change.field for change in differences(before, asked)}
    agents = _agents_edited(drafting)
    if edited:
        drafting.tell(PolicyFileSeen(policy_json=canonical_json(asked)))
    free = is_free(rules, mode)
    _take(drafting, apart(only(differences(drafting.document.policy, asked), edited))[0])
    _take_agents(drafting, agents, free=free)
    anew = _close_overtaken(drafting, edited)
    _ask(drafting, asked, edited | anew, free=free)
    for name in sorted(drafting.filed):
        held = _still_held(drafting, name, anew | {change.field for change in agents})
        if held:
            drafting.request(_wish(held, EDITED), held)
    drafting.apply_due(arming=True, mode=mode)


def _wish(changes: tuple[PolicyChange, ...], reason: str) -> Wish:
    return Wish(changes=changes, actor="trader", asked_by=AskedBy.FILE, reason=reason)


def _take(drafting: Drafting, changes: tuple[PolicyChange, ...]) -> str:
    """Put in force what can be of some changes of the policy; return what the rest contradicts, "" without a rest."""
    of = lambda some: Document(changed(drafting.document, some).policy)  # noqa: E731
    told = lambda some: contradiction(of(some), {}, drafting.environ, "beside what is in force:")  # noqa: E731
    taken = fitting(changes, lambda some: not told(some))
    why = told(changes) if taken != changes else ""
    if taken:
        drafting.version(_wish(taken, FILE_EDITED))
    return why


def _ask(drafting: Drafting, asked: Policy, fields: set[str], *, free: bool) -> None:
    """Put in force what nobody is asked about, and let the rest wait in one request, each with its group."""
    wanted = only(differences(drafting.document.policy, asked), fields)
    why = _take(drafting, wanted if free else apart(wanted)[0])
    left = differences(drafting.document.policy, asked)
    units = {unit_of(change.field) for change in only(left, fields)}
    waits = tuple(change for change in left if unit_of(change.field) in units)
    if waits:
        drafting.request(_wish(waits, f"{FILE_EDITED}; {why}" if why else FILE_EDITED), waits)


def _take_agents(drafting: Drafting, found: tuple[PolicyChange, ...], *, free: bool) -> None:
    """Put in force what nobody is asked about, and hold the rest of the agents' files at what is in force."""
    taken = found if free else apart(found)[0]
    odd = {name for name in drafting.filed if _contradicts(drafting, name, _agents_after(drafting, found, taken))}
    taken = tuple(each for each in taken if not (parts_of(each.field)[0] in odd and is_grouped(each.field)))
    after = _agents_after(drafting, found, taken)
    if taken:
        drafting.version(_wish(taken, EDITED))
    drafting.hold(after)


def _contradicts(drafting: Drafting, name: str, agents: tuple[PolicyChange, ...]) -> bool:
    mine = tuple(each for each in agents if parts_of(each.field)[0] == name)
    return bool(contradiction(Document(Policy(), mine), drafting.filed, {}, ""))


def _agents_after(
    drafting: Drafting, found: tuple[PolicyChange, ...], taken: tuple[PolicyChange, ...]
) -> tuple[PolicyChange, ...]:
    """Return the document's changes of agents with those taken, and what else was found held at what is in force."""
    after = changed(drafting.document, taken, drafting.filed).agents
    kept = {change.field: change for change in after if _stands(drafting, change)}
    holds = {e.field: PolicyChange(e.field, e.new, e.old, Sense.TIGHTENS) for e in found if e not in taken}
    return tuple((kept | holds).values())


def _stands(drafting: Drafting, change: PolicyChange) -> bool:
    """Tell whether an agent's file says what it said when a change of it was made, or is not at hand."""
    name, key = parts_of(change.field)
    return name not in drafting.filed or fields_of_agents()[key].text(drafting.filed[name]) == change.old


def _agents_edited(drafting: Drafting) -> tuple[PolicyChange, ...]:
    """Return what agents' files say otherwise than what is in force of them."""
    found: list[PolicyChange] = []
    for name, agent in sorted(drafting.filed.items()):
        registered = drafting.book.registered.get(name)
        if registered is not None:
            old = _in_force(from_canonical(AgentConfig, registered), drafting.document)
            found += _differences(name, old, _texts(agent, drafting.document))
    return tuple(found)


def _differences(name: str, old: dict[str, str], new: dict[str, str]) -> Iterator[PolicyChange]:
    """Yield what differs. What both tightens and loosens comes as two: how far it tightens, and the rest."""
    for key, field in fields_of_agents().items():
        if old[key] == new[key]:
            continue
        where, was, now = f"{AGENT_PREFIX}{name}.{key}", field.parse(name, old[key]), field.parse(name, new[key])
        sense = field.way.sense(was, now)
        common = field.way.common(was, now) if sense is Sense.LOOSENS else was
        between = field.written(common) if common != was else old[key]
        if between != old[key]:
            yield PolicyChange(where, old[key], between, Sense.TIGHTENS)
        yield PolicyChange(where, between, new[key], sense)


def _texts(agent: AgentConfig, document: Document) -> dict[str, str]:
    """Return what a file comes to with the document's changes, as texts."""
    changed = {parts_of(e.field)[1]: e for e in document.agents if parts_of(e.field)[0] == agent.name}
    texts = {key: field.text(agent) for key, field in fields_of_agents().items()}
    return {key: changed[key].new if key in changed and changed[key].old == text else text
            for key, text in texts.items()}  # fmt: skip


def _in_force(registered: AgentConfig, document: Document) -> dict[str, str]:
    """Return what an agent was last run with, as texts. Instruments held back are shown as such, and not as blocked."""
    fields = fields_of_agents()
    listed, name = fields[INSTRUMENTS], f"{AGENT_PREFIX}{registered.name}.{INSTRUMENTS}"
    texts = {key: field.text(registered) for key, field in fields.items()}
    held = next((e for e in document.agents if e.field == name and e.old == texts[INSTRUMENTS]), None)
    if held is not None:
        texts[INSTRUMENTS] = held.new
        before = without_hold(registered, listed.parse(registered.name, held.new))
        texts[BLOCKED] = fields[BLOCKED].text(before)
    return texts


def _close_overtaken(drafting: Drafting, edited: set[str]) -> set[str]:
    """Close requests that are stale, and those of a file that was edited again; return the fields to ask for anew."""
    anew: set[str] = set()
    for request in list(drafting.book.requests.values()):
        is_files = request.asked_by is AskedBy.FILE
        overtaken = is_files and _is_overtaken(drafting, request, edited)
        stale = is_stale(request, drafting.book)
        of_agents = any(each.field.startswith(AGENT_PREFIX) for each in request.changes)
        if (request.is_approved and not (overtaken and of_agents)) or not (stale or overtaken):
            continue
        if is_files:
            anew |= {change.field for change in request.changes}
        note = "the file was edited again" if overtaken else stale_words(request, drafting.book)
        drafting.answer(request, Verdict.WITHDRAWN if overtaken else Verdict.STALE, "start", note)
    return anew


def _is_overtaken(drafting: Drafting, request: ChangeRequest, edited: set[str]) -> bool:
    """Tell whether the file that asked says something else by now."""
    for change in request.changes:
        if not change.field.startswith(AGENT_PREFIX):
            return bool(edited)
        name, key = parts_of(change.field)
        if name in drafting.filed and fields_of_agents()[key].text(drafting.filed[name]) != change.new:
            return True
    return False


def _still_held(drafting: Drafting, name: str, fields: set[str]) -> tuple[PolicyChange, ...]:
    """Return what an agent's file asks for, of some fields that are held at what is in force, each with its group."""
    units = {unit_of(field) for field in fields}
    mine = [
        each
        for each in drafting.book.agents
        if parts_of(each.field)[0] == name and unit_of(each.field) in units and _stands(drafting, each)
    ]
    held = {unit_of(each.field) for each in mine if _sense_back(each) is Sense.LOOSENS}
    return tuple(
        PolicyChange(each.field, each.new, each.old, _sense_back(each)) for each in mine if unit_of(each.field) in held
    )


def _sense_back(change: PolicyChange) -> Sense:
    """Tell which way it goes from what is in force to what the file says."""
    name, key = parts_of(change.field)
    field = fields_of_agents()[key]
    return field.way.sense(field.parse(name, change.new), field.parse(name, change.old))


def while_away(
    registered: Mapping[str, str], filed: Collection[str], changes: Iterable[PolicyChange]
) -> tuple[AgentConfig, ...]:
    """Return the agents whose files are not at hand, as a version sets them; else their files would seem edited later.

    registered: agent -> its settings as they were last put in force, canonical.
    """
    made: dict[str, AgentConfig] = {}
    for change in changes:
        name, key = parts_of(change.field)
        if change.field.startswith(AGENT_PREFIX) and name not in filed and name in registered:
            agent = made.get(name) or from_canonical(AgentConfig, registered[name])
            field = fields_of_agents()[key]
            new = field.parse(name, change.new)
            made[name] = without_hold(agent, _others(agent, new)) if key == INSTRUMENTS else field.put(agent, new)
    return tuple(made.values())


def _others(agent: AgentConfig, let_in: Collection[str]) -> tuple[str, ...]:
    return tuple(key for key in agent.instruments if key not in let_in)


def only(changes: Iterable[PolicyChange], fields: set[str]) -> tuple[PolicyChange, ...]:
    """Return the changes of some fields."""
    return tuple(change for change in changes if change.field in fields)
