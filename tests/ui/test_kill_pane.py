"""The kill pane: the state in words, what comes next, and each rule in its own unit."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from console.status import lean, print_status
from engine.api import CertificateView, KillGauge, KillTier, KillUnit, TradingState
from engine.control.wire import to_json
from screens.format import clock
from screens.rows import Row
from screens.widgets.kill import gauge_sentence, kill_rows, next_tier
from tests.ui.fakes import NOW_MS, snapshot


def gauge(rule: str, unit: KillUnit, tier: KillTier, observed: str, *begins: str | None) -> KillGauge:
    warn, reduce, halt, flatten = (None if each is None else Decimal(each) for each in begins)
    limit = flatten or halt or Decimal(1)
    return KillGauge(
        rule=rule, unit=unit, tier=tier, observed=Decimal(observed), limit=limit, used_frac=Decimal(observed) / limit,
        tripped=tier.is_latched, warn_at=warn, reduce_at=reduce, halt_at=halt, flatten_at=flatten,
    )  # fmt: skip


LOSS = gauge("loss", KillUnit.FRAC, KillTier.REDUCE, "0.042", "0.03", "0.04", "0.045", "0.05")
VENUE = gauge("venue_failures", KillUnit.COUNT, KillTier.WARN, "3", "3", "4", "5", None)
STALE = gauge("stale_data", KillUnit.MS, KillTier.HALT, "320000", "180000", "240000", "300000", None)


def text(row: Row) -> str:
    return "".join(piece for piece, _ink in row)


def test_reducing_is_said_in_words_with_what_comes_next() -> None:
    state = {"state": TradingState.REDUCING, "state_actor": "kill-switch", "state_reason": "loss 4.2%"}
    rows = [text(row) for row in kill_rows(snapshot(kill=(LOSS, VENUE), **state), 60)]
    assert rows[0].startswith("REDUCING 12m by kill-switch: loss 4.2%")
    assert rows[1] == "exits only: nothing that adds exposure can leave"
    assert rows[2] == "next: loss halt at 4.5%"
    assert rows[3].endswith("84% OFF ")
    assert rows[4].startswith("venue      3 of 5")
    assert rows[4].endswith("60% WARN")


def test_a_figure_in_time_is_written_as_one_and_says_that_a_resume_does_not_clear_it() -> None:
    assert text(kill_rows(snapshot(kill=(STALE,)), 60)[1]).startswith("stale data 5m of 5m")
    assert gauge_sentence(STALE) == "stale data is at 5m of 5m: it holds until what it saw is over"
    assert gauge_sentence(LOSS).endswith("measured anew from here")


def test_certificate_says_when_it_was_and_never_that_what_is_held_now_is_flat() -> None:
    ended = CertificateView(flatten_id="fl-1", flat=True, took_ms=200, lines=(), ended_ms=NOW_MS - 5_000)
    at = clock(ended.ended_ms)
    shown = {
        held: text(kill_rows(snapshot(certificate=replace(ended, held_since=held)), 70)[1]) for held in (False, True)
    }
    assert shown[False] == f"flat at {at}, 0.2 s, proven by the venue · c shows it"
    assert shown[True] == f"last flat at {at}; positions were opened since · c shows it"
    narrow = kill_rows(snapshot(certificate=replace(ended, held_since=True)), 38)[1]
    assert text(narrow) == f"last flat {at}; opened since · c"


def test_each_tier_says_where_the_next_one_begins() -> None:
    seen = ("0", "0.03", "0.04", "0.045", "0.05")
    assert [next_tier(replace(LOSS, observed=Decimal(each))) for each in seen] == [
        "warning at 3.0%", "entries off at 4.0%", "halt at 4.5%", "halt and flatten at 5.0%", ""
    ]  # fmt: skip


def test_status_shows_each_rule_with_where_its_tiers_begin(capsys: pytest.CaptureFixture[str]) -> None:
    print_status(lean(to_json(snapshot(kill=(LOSS, VENUE, STALE)))))
    shown = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["loss", "reduce", "4.2", "%", "3", "%", "4", "%", "4.5", "%", "5", "%"] in shown
    assert ["venue", "failures", "warn", "3", "3", "4", "5", "–"] in shown
    assert [*["stale", "data", "halt", "5", "min", "20", "s", "3", "min", "4", "min", "5", "min", "–"]] in shown
