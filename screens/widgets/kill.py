"""The kill switch: the trading state in words, and how much of each threshold is used up."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from engine.api import CertificateView, DrillView, KillGauge, KillTier, KillUnit, Snapshot, TradingState
from screens.format import age, bar, count_of, fit, moment, qty, safe, share, symbol, wrap
from screens.model import ConsoleModel
from screens.rows import Row, beside, text_row
from screens.widgets.pane import Pane

INK = {TradingState.ACTIVE: "good", TradingState.REDUCING: "warn", TradingState.HALTED: "danger"}
NEAR_FRAC = 0.75
TIER_WORDS = {KillTier.WARN: " WARN", KillTier.REDUCE: " OFF"}
RULE_WORDS = {"analysis_failures": "analyses", "venue_failures": "venue", "daily_profit": "day profit",
              "ledger_drift": "ledger"}  # fmt: skip
LASTING = ("stale_data", "ledger_drift")
"""Rules that a resume does not clear: what they saw is there until it is not."""


class KillPane(Pane):
    """State first, then the last flatten's certificate, one gauge a rule, and the last drill."""

    TITLE = "Kill switch"

    def show(self, model: ConsoleModel) -> None:
        """Draw the newest snapshot."""
        snapshot = model.snapshot
        title = self.TITLE if snapshot else f"{self.TITLE} · starting…"
        self.fill(kill_rows(snapshot, self.size.width) if snapshot else (), title)

    def row(self, item: Row, width: int) -> Row:
        return item


def kill_rows(snapshot: Snapshot, width: int) -> list[Row]:
    """State, certificate when there is one, gauges."""
    rows = [_state_row(snapshot, width)]
    rows += [text_row(line, "danger") for told in snapshot.flatten_waits for line in wrap(f"waits: {told}", width, 4)]
    if snapshot.state is TradingState.REDUCING:
        rows.append(((safe("exits only: nothing that adds exposure can leave", width), "warn"),))
    if snapshot.certificate is not None:
        rows.append(certificate_row(snapshot.certificate, snapshot.now_ms, width))
    gauges = sorted(snapshot.kill, key=lambda each: -each.used_frac)
    rows += _next_row(gauges, width)
    word_width = max((len(gauge_word(gauge)) for gauge in gauges), default=0)
    drill = [drill_row(snapshot.drill, width)] if snapshot.drill is not None else []
    return rows + [gauge_row(gauge, width, word_width) for gauge in gauges] + drill


def _state_row(snapshot: Snapshot, width: int) -> Row:
    if snapshot.flattening:
        return ((fit("FLATTENING: closing every position at the venue", width), "danger"),)
    state = snapshot.state
    since = age(max(0, snapshot.now_ms - snapshot.state_since_ms))
    who = safe(snapshot.state_actor, 16)
    why = safe(snapshot.state_reason, max(8, width))
    text = f" {since}" + (f" by {who}" if who else "") + (f": {why}" if why else "")
    return ((state.value, INK[state]), (safe(text, width - len(state.value)), "dim"))


def _next_row(gauges: Sequence[KillGauge], width: int) -> list[Row]:
    """Say what comes next, of the rule that is nearest to its limit."""
    nearest = next((gauge for gauge in gauges if next_tier(gauge)), None)
    if nearest is None:
        return []
    return [((safe(f"next: {nearest.rule.replace('_', ' ')} {next_tier(nearest)}", width), "dim"),)]


def certificate_row(certificate: CertificateView, now_ms: int, width: int) -> Row:
    """Say what the venue showed when the flatten ended, and when that was: it is no word on what is held now."""
    seconds = f"{certificate.took_ms / 1000:.1f} s"
    at = f" at {moment(certificate.ended_ms, now_ms)}" if certificate.ended_ms else ""
    if not certificate.flat:
        left = ", ".join(f"{symbol(name)} {qty(end)}" for name, _start, end, _why in certificate.lines if end)
        return text_row(safe(f"NOT FLAT{at} after {seconds}: {left} · c shows it", width), "danger")
    if certificate.held_since:
        told = f"last flat{at}; positions were opened since · c shows it"
        return text_row(
            told if len(told) <= width else safe(f"last flat{at.removeprefix(' at')}; opened since · c", width), "dim"
        )
    return text_row(safe(f"flat{at}, {seconds}, proven by the venue · c shows it", width), "good")


def drill_row(drill: DrillView, width: int) -> Row:
    """Say in one line how long the last rehearsal took, and when it was."""
    halt, flat = f"{drill.key_to_halt_us / 1000:.0f} ms", f"{drill.halt_to_flat_us / 1000:.0f} ms"
    end = f"halt to flat {flat}" if drill.flat else "NOT FLAT"
    text = f"Drill {drill.at[:10]}: key to halt {halt}, {end}, {count_of(drill.positions, 'position')}"
    return ((safe(text, width), "dim" if drill.flat else "danger"),)


def gauge_word(gauge: KillGauge) -> str:
    """Say what the gauge's colour says: the tier the rule is in, or that the next one is near."""
    if gauge.tripped:
        return " TRIPPED"
    return TIER_WORDS.get(gauge.tier) or (" near" if gauge.used_frac >= NEAR_FRAC else "")


def gauge_row(gauge: KillGauge, width: int, word_width: int = 0) -> Row:
    """One rule: name, seen of limit, gauge, share used, and a word when it is close."""
    word = gauge_word(gauge)
    ink = "danger" if gauge.tripped else "warn" if word else "accent"
    name = fit(safe(RULE_WORDS.get(gauge.rule, gauge.rule.replace("_", " ")), 10), 10)
    seen = fit(f"{_figure(gauge.observed, gauge.unit)} of {_figure(gauge.limit, gauge.unit, whole=True)}", 12)
    used = fit(f"{share(gauge.used_frac, places=0):>4}{word}", 4 + word_width)
    full, empty = bar(gauge.used_frac, width - 10 - 12 - len(used) - 3)
    return beside([((name, "dim"),), ((seen, ""),), ((full, ink), (empty, "dim")), ((used, ink if word else ""),)], " ")


def _figure(value: Decimal, unit: KillUnit, *, whole: bool = False) -> str:
    """Write a rule's figure as short as it can be: a share, a count or a time."""
    if unit is KillUnit.FRAC:
        return share(value, places=0 if whole and value * 100 % 1 == 0 else 1)
    return age(float(value)) if unit is KillUnit.MS else qty(value)


def next_tier(gauge: KillGauge) -> str:
    """Say which tier comes next, and where, such as "entries off at 4%"; empty when there is none."""
    begins = (("warning", gauge.warn_at), ("entries off", gauge.reduce_at), ("halt", gauge.halt_at),
              ("halt and flatten", gauge.flatten_at))  # fmt: skip
    for word, at in begins:
        if at is not None and gauge.observed < at:
            return f"{word} at {_figure(at, gauge.unit)}"
    return ""


def gauge_sentence(gauge: KillGauge) -> str:
    """Say where a rule that tripped stands, and whether a resume clears it."""
    seen, limit = _figure(gauge.observed, gauge.unit), _figure(gauge.limit, gauge.unit)
    clears = "it holds until what it saw is over" if gauge.rule in LASTING else "measured anew from here"
    return f"{gauge.rule.replace('_', ' ')} is at {seen} of {limit}: {clears}"
