"""The kill switch: the trading state in words, and how much of each threshold is used up."""

from __future__ import annotations

from engine.api import CertificateView, KillGauge, Snapshot, TradingState
from screens.format import age, bar, fit, qty, safe, share, symbol
from screens.model import ConsoleModel
from screens.rows import Row, beside
from screens.widgets.pane import Pane

INK = {TradingState.ACTIVE: "good", TradingState.REDUCING: "warn", TradingState.HALTED: "danger"}
NEAR_FRAC = 0.75


class KillPane(Pane):
    """State first, then one gauge a rule, then the last flatten's certificate."""

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
    if snapshot.certificate is not None:
        rows.append(certificate_row(snapshot.certificate, width))
    gauges = sorted(snapshot.kill, key=lambda each: -each.used_frac)
    word_width = max((len(gauge_word(gauge)) for gauge in gauges), default=0)
    return rows + [gauge_row(gauge, width, word_width) for gauge in gauges]


def _state_row(snapshot: Snapshot, width: int) -> Row:
    if snapshot.flattening:
        return ((fit("FLATTENING: closing every position at the venue", width), "danger"),)
    state = snapshot.state
    since = age(max(0, snapshot.now_ms - snapshot.state_since_ms))
    who = safe(snapshot.state_actor, 16)
    why = safe(snapshot.state_reason, max(8, width))
    text = f" {since}" + (f" by {who}" if who else "") + (f": {why}" if why else "")
    return ((state.value, INK[state]), (safe(text, width - len(state.value)), "dim"))


def certificate_row(certificate: CertificateView, width: int) -> Row:
    """Say in one line what the venue showed when the flatten ended."""
    seconds = f"{certificate.took_ms / 1000:.1f} s"
    if certificate.flat:
        return ((safe(f"FLAT in {seconds}, proven by the venue · c shows it", width), "good"),)
    left = ", ".join(f"{symbol(name)} {qty(end)}" for name, _start, end, _why in certificate.lines if end)
    return ((safe(f"NOT FLAT after {seconds}: {left} · c shows it", width), "danger"),)


def gauge_word(gauge: KillGauge) -> str:
    """Say what the gauge's colour says."""
    return " TRIPPED" if gauge.tripped else " near" if gauge.used_frac >= NEAR_FRAC else ""


def gauge_row(gauge: KillGauge, width: int, word_width: int = 0) -> Row:
    """One rule: name, seen of limit, gauge, share used, and a word when it is close."""
    word = gauge_word(gauge)
    ink = "danger" if gauge.tripped else "warn" if word else "accent"
    name = fit(safe(gauge.rule.replace("_", " "), 10), 10)
    seen = fit(f"{share(gauge.observed_frac)} of {_limit(gauge)}", 12)
    used = fit(f"{share(gauge.used_frac, places=0):>4}{word}", 4 + word_width)
    full, empty = bar(gauge.used_frac, width - 10 - 12 - len(used) - 3)
    return beside([((name, "dim"),), ((seen, ""),), ((full, ink), (empty, "dim")), ((used, ink if word else ""),)], " ")


def _limit(gauge: KillGauge) -> str:
    return share(gauge.limit_frac, places=0 if gauge.limit_frac * 100 % 1 == 0 else 1)
