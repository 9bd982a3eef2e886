"""Every guardrail's word on a trade, those that bit first, in a pane that scrolls."""

from __future__ import annotations

from collections.abc import Iterable

from engine.api import RiskCheck, Verdict
from screens.format import safe, wrap
from screens.rows import Row
from screens.widgets.pane import Pane

CHECK_WIDTH_MIN = 48
CHECK_HEAD = 30
CHECK_INDENT = "       "
INK = {Verdict.PASS: "good", Verdict.REDUCE: "warn", Verdict.REFUSE: "danger"}
FIRST = {Verdict.REFUSE: 0, Verdict.REDUCE: 1, Verdict.PASS: 2}


class ChecksPane(Pane):
    """Rows that are made already: what a preview would send, and each check."""

    TITLE = "Preview"

    def row(self, item: Row, width: int) -> Row:
        return item


class CardChecks(ChecksPane):
    """The checks on a card that is answered by typing: the card's own keys scroll it, it never takes one."""

    TITLE = "Checks"
    can_focus = False


def checks_rows(checks: Iterable[RiskCheck], width: int) -> list[Row]:
    """All checks: refused, reduced, passed, each in the order they were asked."""
    ordered = sorted(checks, key=lambda each: FIRST[each.verdict])
    return [row for check in ordered for row in check_rows(check, width)]


def checks_words(checks: Iterable[RiskCheck]) -> str:
    """Count the verdicts: "25 passed, 1 reduced"."""
    said = [check.verdict for check in checks]
    words = ((Verdict.PASS, "passed"), (Verdict.REDUCE, "reduced"), (Verdict.REFUSE, "refused"))
    return ", ".join(f"{said.count(verdict)} {word}" for verdict, word in words if verdict in said) or "none"


def check_rows(check: RiskCheck, width: int, lines_max: int = 3) -> list[Row]:
    """One guardrail's word: verdict, code, seen, limit; what does not fit beside goes under it, and nothing is cut."""
    ink = INK[check.verdict]
    told = f"{check.observed}, limit {check.limit}"
    beside = wrap(told, width - CHECK_HEAD, 2) if width >= CHECK_WIDTH_MIN else []
    if len(beside) == 1:
        return [((f"{check.verdict.value:<7}", ink), (f"{check.code.value:<23}", ""), (beside[0], "dim"))]
    under = wrap(told, max(10, width - len(CHECK_INDENT)), lines_max)
    return [
        ((f"{check.verdict.value:<7}", ink), (safe(check.code.value, width - 7), "")),
        *(((CHECK_INDENT, ""), (line, "dim")) for line in under),
    ]
