"""Whether a policy may be in force: what its file is held to, whoever asks for a change and whenever it applies."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from functools import partial

from engine.config.agents import check_limits, limit_keys
from engine.config.policy import check_policy
from engine.domain.agent import AgentConfig, AgentLimits
from engine.domain.governance import PolicyChange
from engine.domain.policy import Policy
from engine.errors import UsageError
from engine.governance.agent_fields import AGENT_PREFIX, fields_of_agents, parts_of
from engine.governance.document import (
    Document,
    changed,
    differences,
    loosening,
    with_limits,
)
from engine.governance.environment import overlaid
from engine.governance.together import apart


def refuse_change(
    document: Document, changes: Iterable[PolicyChange], filed: Mapping[str, AgentConfig], environ: Mapping[str, str],
    where: str, *, whole: bool = False,
) -> None:  # fmt: skip
    """Raise UsageError, in the words of the policy file, unless a document may stand with these changes in it.

    What applies at once must stand by itself too, for the rest may never be approved; whole: nothing of it does. A
    limit that never acts is refused beside any that was written, but where a change only tightens: that is never held
    up for tidiness.
    """
    wanted = tuple(changes)
    parts = [(wanted, where)]
    at_once, waits = apart(wanted)
    if at_once and waits and not whole:
        parts.append((at_once, f"{where} what of it applies at once:"))
    for part, place in parts:
        after, named = changed(document, part, filed), {each.field for each in part}
        written = named | _written(after.policy) if loosening(part) else named
        refuse_document(after, filed, environ, place, written)


def refuse_document(
    document: Document, filed: Mapping[str, AgentConfig], environ: Mapping[str, str], where: str,
    written: Collection[str] = (),
) -> None:  # fmt: skip
    """Raise UsageError for limits that contradict each other: the account's as tightened, and each agent's own."""
    check_policy(document.policy, where, written)
    refuse_variables(document.policy, environ, where, written)
    for name in sorted({parts_of(each.field)[0] for each in document.agents}):
        if name in filed:
            limits = with_limits(filed[name], document.agents).limits
            check_limits(f"{where} agent {name} [limits]", _set_limits(limits), limits, partial(_set_back, name))


def refuse_variables(
    policy: Policy, environ: Mapping[str, str], where: str, written: Collection[str] = ()
) -> None:  # fmt: skip
    """Raise UsageError for variables that make a policy's limits contradict each other."""
    effective, overlays = overlaid(policy, environ)
    if effective != policy:
        names = ", ".join(each.variable for each in overlays if each.applies)
        check_policy(effective, f"{where} with {names}:", written)


def contradiction(document: Document, filed: Mapping[str, AgentConfig], environ: Mapping[str, str], where: str) -> str:
    """Return the sentence that says what of a document contradicts what; "" while it may be in force."""
    try:
        refuse_document(document, filed, environ, where)
    except UsageError as error:
        return str(error)
    return ""


def _written(policy: Policy) -> set[str]:
    """What somebody must have written, for it is no default."""
    return {each.field for each in differences(Policy(), policy)}


def _set_back(name: str, key: str) -> str:
    """Say how a change leaves a limit out: it sets it to the default that the file would have without it."""
    field = fields_of_agents()[f"limits.{key}"]
    return f"set {AGENT_PREFIX}{name}.{field.name}={field.written(getattr(AgentLimits(), field.attribute))} with it"


def _set_limits(limits: AgentLimits) -> set[str]:
    plain = AgentLimits()
    return {
        key
        for key, each in limit_keys(lambda where, value: value).items()
        if getattr(limits, each.field) != getattr(plain, each.field)
    }
