"""A start reads the policy file and the agents' files: what became tighter applies, what became looser waits (R24)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

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
from engine.governance.document import Document, differences, harmless, loosening
from engine.governance.versions import EDITED, Drafting, Wish, is_free, is_stale, stale_words


def at_start(drafting: Drafting, asked: Policy, rules: GovernanceRules, mode: Mode) -> None:
    """Compare the files with what they said before: what was tightened applies, what was loosened waits.

    Fields that nobody edited stay as they are in force, whatever a file says: an approved change made elsewhere is not
    undone by an old file. A request of a file's that has become stale is asked anew. An agent that was never seen is
    taken as its file has it.
    """
    before = from_canonical(Policy, drafting.book.file_json)
    edited = {change.field for change in differences(before, asked)}
    agents = {change.field: change for change in _agents_edited(drafting)}
    if edited:
        drafting.tell(PolicyFileSeen(policy_json=canonical_json(asked)))
    free = is_free(rules, mode)
    _at_once(drafting, only(differences(drafting.document.policy, asked), edited), agents.values(), free=free)
    anew = _close_overtaken(drafting, edited)
    wanted = only(differences(drafting.document.policy, asked), edited | anew)
    if wanted:
        drafting.wish(_wish(wanted, "the policy file was edited"), rules, mode)
    for name in sorted(drafting.filed):
        held = _still_held(drafting, name, anew | set(agents))
        if held and not free:
            drafting.request(_wish(held, EDITED), held)
    drafting.apply_due(arming=True, mode=mode)


def _wish(changes: tuple[PolicyChange, ...], reason: str) -> Wish:
    return Wish(changes=changes, actor="trader", asked_by=AskedBy.FILE, reason=reason)


def _at_once(
    drafting: Drafting, policy: tuple[PolicyChange, ...], agents: Iterable[PolicyChange], *, free: bool
) -> None:
    """Make the versions that nobody is asked about, and hold what an agent's file loosens at what is in force."""
    found = tuple(agents)
    for changes, reason in ((harmless(policy), "the policy file was edited"), (harmless(found), EDITED)):
        if changes:
            drafting.version(_wish(changes, reason))
    looser = loosening(found)
    if looser and free:
        drafting.version(_wish(looser, EDITED))
        return
    kept = {change.field: change for change in drafting.book.agents if _stands(drafting, change)}
    holds = {each.field: PolicyChange(each.field, each.new, each.old, Sense.TIGHTENS) for each in looser}
    drafting.hold(tuple((kept | holds).values()))


def _stands(drafting: Drafting, change: PolicyChange) -> bool:
    """Tell whether an agent's file says what it said when a change of it was made, or is not at hand."""
    name, key = parts_of(change.field)
    return name not in drafting.filed or fields_of_agents()[key].text(drafting.filed[name]) == change.old


def _agents_edited(drafting: Drafting) -> list[PolicyChange]:
    """Return what agents' files say otherwise than what is in force of them."""
    found = []
    for name, agent in sorted(drafting.filed.items()):
        registered = drafting.book.registered.get(name)
        if registered is not None:
            old = _in_force(from_canonical(AgentConfig, registered), drafting.document)
            found += _differences(name, old, _texts(agent, drafting.document))
    return found


def _differences(name: str, old: dict[str, str], new: dict[str, str]) -> list[PolicyChange]:
    changes = []
    for key, field in fields_of_agents().items():
        if old[key] != new[key]:
            sense = field.way.sense(field.parse(name, old[key]), field.parse(name, new[key]))
            changes.append(PolicyChange(f"{AGENT_PREFIX}{name}.{key}", old[key], new[key], sense))
    return changes


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
    """Return what an agent's file asks for, of some fields that are held at what is in force."""
    return tuple(
        PolicyChange(each.field, each.new, each.old, Sense.LOOSENS)
        for each in drafting.book.agents
        if each.field in fields and parts_of(each.field)[0] == name and _stands(drafting, each) and _is_hold(each)
    )


def _is_hold(change: PolicyChange) -> bool:
    name, key = parts_of(change.field)
    field = fields_of_agents()[key]
    return field.way.sense(field.parse(name, change.new), field.parse(name, change.old)) is Sense.LOOSENS


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
