"""Whether a policy may be in force: what its file is held to, whoever asks for a change and whenever it applies."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from engine.config.agents import check_limits, limit_keys
from engine.config.policy import check_policy
from engine.domain.agent import AgentConfig, AgentLimits
from engine.domain.governance import PolicyChange
from engine.domain.policy import Policy
from engine.governance.agent_fields import parts_of
from engine.governance.document import (
    Document,
    changed,
    differences,
    harmless,
    loosening,
    with_limits,
)
from engine.governance.environment import overlaid


def refuse_change(
    document: Document, changes: Iterable[PolicyChange], filed: Mapping[str, AgentConfig], environ: Mapping[str, str],
    where: str,
) -> None:  # fmt: skip
    """Raise UsageError, in the words of the policy file, unless a document may stand with these changes in it.

    What applies at once must stand by itself too, for the rest may never be approved. A limit that never acts is
    refused beside any that was written, but where a change only tightens: that is never held up for tidiness.
    """
    wanted = tuple(changes)
    parts = [(wanted, where)]
    if loosening(wanted) and harmless(wanted):
        parts.append((harmless(wanted), f"{where} what of it applies at once:"))
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
    effective, overlays = overlaid(document.policy, environ)
    if effective != document.policy:
        names = ", ".join(each.variable for each in overlays if each.applies)
        check_policy(effective, f"{where} with {names}:", written)
    for name in sorted({parts_of(each.field)[0] for each in document.agents}):
        if name in filed:
            limits = with_limits(filed[name], document.agents).limits
            check_limits(f"{where} agent {name} [limits]", _set_limits(limits), limits)


def _written(policy: Policy) -> set[str]:
    """What somebody must have written, for it is no default."""
    return {each.field for each in differences(Policy(), policy)}


def _set_limits(limits: AgentLimits) -> set[str]:
    plain = AgentLimits()
    return {
        key
        for key, each in limit_keys(lambda where, value: value).items()
        if getattr(limits, each.field) != getattr(plain, each.field)
    }
