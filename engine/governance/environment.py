"""Environment variables over the policy: they may only tighten it (R24), and each is shown with what it did (W06)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from engine.config import policy_fields
from engine.config.fields import suggestion
from engine.domain.governance import PolicyChange, Sense
from engine.domain.policy import Policy
from engine.errors import UsageError
from engine.governance.directions import POLICY_WAYS
from engine.governance.document import with_value
from engine.governance.texts import read, written

PREFIX = "QUARTERDECK_"
SEED_NAMES = {
    "AI_DAILY_COST_BUDGET_USD": "ai_budget.usd_per_day",
    "AI_DAILY_TOKEN_BUDGET": "ai_budget.tokens_per_day",
    "AI_PROVIDER_DAILY_COST_BUDGET_USD": "ai_budget.each_provider.usd_per_day",
    "AI_GOVERNANCE_REQUIRE_APPROVAL": "governance.require_approval",
}
"""Names that traders know from elsewhere, and the field each stands for."""
ZERO_MEANT_OFF = ("AI_DAILY_COST_BUDGET_USD", "AI_DAILY_TOKEN_BUDGET", "AI_PROVIDER_DAILY_COST_BUDGET_USD")


@dataclass(frozen=True, slots=True)
class Overlay:
    """What one variable says of one field. change None: the policy says the same. applies: it tightens."""

    variable: str
    field: str
    text: str
    change: PolicyChange | None

    @property
    def applies(self) -> bool:
        """Tell whether the variable has an effect."""
        return self.change is not None and self.change.sense is Sense.TIGHTENS

    @property
    def sentence(self) -> str:
        """Say what the variable does."""
        if self.change is None:
            return f"{self.variable}={self.text} says what {self.field} says already."
        old, new = self.change.old, self.change.new
        if self.applies:
            return f"{self.variable} tightens {self.field} from {old} to {new} while it is set."
        return (
            f"{self.variable}={self.text} would loosen {self.field} from {old} to {new}; it was left aside, for a "
            f"variable may only tighten. Use: quarterdeck policy propose --set {self.field}={new} --reason ..."
        )


def variables() -> dict[str, str]:
    """Return variable -> field, over all fields."""
    return {**{PREFIX + name.upper().replace(".", "_"): name for name in policy_fields()}, **SEED_NAMES}


def overlaid(policy: Policy, environ: Mapping[str, str]) -> tuple[Policy, tuple[Overlay, ...]]:
    """Return a policy with what the environment tightens, and what each variable of ours says.

    Raises UsageError for a value that the field may not have, and for a variable that only looks like one of ours.
    """
    known = variables()
    _refuse_unknown(environ, known)
    overlays = []
    for variable, name in known.items():
        if environ.get(variable, "") != "":
            overlay, policy = _overlay(policy, variable, name, environ[variable].strip())
            overlays.append(overlay)
    return policy, tuple(overlays)


def _overlay(policy: Policy, variable: str, name: str, text: str) -> tuple[Overlay, Policy]:
    if variable in ZERO_MEANT_OFF and text.replace(".", "").strip("0") == "":
        raise UsageError(
            f"{variable}={text} allows nothing here, where 0 is none (R20). Unset it to keep the policy's "
            f"{name}, or set ai.live_inference = false to ask no model at all."
        )
    field = policy_fields()[name]
    old, new = field.of(policy), field.key.parse(variable, read(text))
    if old == new:
        return Overlay(variable, name, text, None), policy
    attribute = field.path[-1]
    sense = POLICY_WAYS[name].sense(old, new)
    overlay = Overlay(variable, name, text, PolicyChange(name, written(old, attribute), written(new, attribute), sense))
    return overlay, with_value(policy, field.path, new) if overlay.applies else policy


def _refuse_unknown(environ: Mapping[str, str], known: Mapping[str, str]) -> None:
    sections = {PREFIX + name.partition(".")[0].upper() + "_" for name in policy_fields() if "." in name}
    for variable in environ:
        if variable not in known and any(variable.startswith(section) for section in sections):
            raise UsageError(f"The variable {variable} sets nothing; {suggestion(variable, known, 'there are')}")
