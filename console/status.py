"""`quarterdeck status`: the engine's snapshot, cut down to what a shell needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from console.output import TEXT_CHARACTERS_MAX, Row, cell, table, with_instants
from screens.format import safe, symbol
from screens.words import label_of, worded

# drawn by the console, of no use in a shell: hundreds of points each
_DRAWN = ("equity_curve", "built_mono_ms", "markets")

_TABLES: dict[str, Sequence[str]] = {
    "positions": ("agent", "instrument", "qty", "average_price", "mark", "unrealized", "stop_price", "target_price"),
    "orders": ("client_order_id", "agent", "instrument", "role", "side", "qty", "filled_qty", "status"),
    "approvals": ("approval_id", "agent", "instrument", "side", "qty", "price"),
    "agents": ("name", "status", "model", "autonomy", "cycles", "trades_today", "realized", "last"),
    "kill": ("rule", "tier", "seen", "warning", "entries off", "halt", "flatten"),
}


def lean(snapshot: Mapping[str, Any]) -> dict[str, Any]:
    """Return a snapshot's fields without what only a screen draws; instants as UTC times."""
    return with_instants({name: value for name, value in snapshot.items() if name not in _DRAWN})


def _equity(shown: Mapping[str, Any]) -> str:
    """Without a price now, the last equity on record stands for it, with its time."""
    last = shown.get("equity_last")
    if shown["equity"] is not None or last is None:
        return cell(worded("equity", shown["equity"]))
    return f"{cell(worded('equity', last))} (at {cell(shown['equity_last_at'])} UTC)"


def _gauge(row: Row) -> dict[str, Any]:
    """A rule's figures in words: each tier is where it begins, in the rule's own unit."""
    suffix = {"frac": "_frac", "ms": "_ms"}.get(str(row["unit"]), "")
    figures = {"seen": "observed", "warning": "warn_at", "entries off": "reduce_at", "halt": "halt_at",
               "flatten": "flatten_at"}  # fmt: skip
    words = {word: _figure(f"value{suffix}", row.get(name)) for word, name in figures.items()}
    return {"rule": str(row["rule"]).replace("_", " "), "tier": row["tier"], **words}


def _figure(name: str, value: Any) -> Any:
    if value is None:
        return None
    return worded(name, float(value)) if name.endswith("_ms") else worded(name, value)


def print_status(shown: Mapping[str, Any]) -> None:
    """Print a status for a person: the state first, then money, then what is open."""
    click.echo(f"{cell(shown['state'])} since {cell(shown.get('state_since'))}: {cell(shown['state_reason'])}")
    click.echo(f"{cell(shown['mode'])}, {cell(shown['source_label'])}, {cell(shown['source_name'])}")
    money = " ".join(
        f"{label_of(name)} {cell(worded(name, shown[name]))}" for name in ("day_pnl", "realized", "unrealized")
    )
    equity = f"equity {_equity(shown)} {money.replace('day pnl', 'today')}"
    click.echo(f"{equity} {cell(shown['currency'])}, fees {cell(shown['fees'])}")
    _print_policy(shown.get("policy") or {})
    for waits in shown.get("flatten_waits") or ():
        click.echo(f"FLATTEN WAITS {safe(waits, TEXT_CHARACTERS_MAX)}")
    for bare in shown.get("unprotected") or ():
        click.echo(f"UNPROTECTED {safe(bare, TEXT_CHARACTERS_MAX)}")
    _print_incidents(shown)
    if shown.get("certificate"):
        click.echo(f"last flatten {certificate_words(shown['certificate'])}")
    for name, columns in _TABLES.items():
        rows: Sequence[Row] = shown.get(name) or ()
        rows = [_gauge(row) for row in rows] if name == "kill" else rows
        if rows:
            click.echo(f"\n{name.replace('kill', 'kill switch')}\n{table(rows, columns)}")


def certificate_words(ended: Mapping[str, Any]) -> str:
    """Write a flatten's certificate on one line: whether the venue shows zero, after how long, and of what.

    >>> lines = [["paper:BTC/USDT", "0.5", "0", ""]]
    >>> certificate_words({"flat": True, "took_ms": 1200, "lines": lines})
    "FLAT after 1.2 s, by the venue's own word: BTC/USDT 0.5 -> 0"
    """
    word = "FLAT" if ended["flat"] else "NOT FLAT"
    moved = [
        f"{safe(symbol(name), 40)} {cell(start)} -> {cell(end)}{_because(why)}"
        for name, start, end, why in ended["lines"]
    ]
    at = f" at {cell(ended['ended'])} UTC" if ended.get("ended") else ""
    told = f"{word}{at} after {ended['took_ms'] / 1000:.1f} s, by the venue's own word"
    since = "; positions were opened since" if ended.get("held_since") else ""
    return f"{told}: {', '.join(moved) or 'nothing was held'}{since}"


def _because(why: str) -> str:
    return f" ({safe(why, TEXT_CHARACTERS_MAX)})" if why else ""


def _print_incidents(shown: Mapping[str, Any]) -> None:
    """Say what the newest incidents were and what to do, and where the others are."""
    newest = shown.get("newest_incidents") or ()
    for each in newest:
        told = safe(f"{each['code']}: {each['text']}", TEXT_CHARACTERS_MAX)
        click.echo(f"INCIDENT {cell(each['ts'])} UTC {told}\n  {safe(each['what_to_do'], TEXT_CHARACTERS_MAX)}")
    if newest and shown["incidents"] > len(newest):
        click.echo(f"{shown['incidents']} incidents in all: `quarterdeck incidents`")


def _print_policy(shown: Mapping[str, Any]) -> None:
    """Say which version is in force, and what of it a person should look at."""
    if not shown:
        return
    waiting = [cell(change["request_id"]) for change in shown["changes"]]
    told = f"; waiting for the admin: {', '.join(waiting)}, see `quarterdeck policy requests`" if waiting else ""
    click.echo(f"policy version {cell(shown['version'])}{told}")
    for notice in shown["notices"]:
        click.echo(f"  {safe(notice, TEXT_CHARACTERS_MAX)}")
