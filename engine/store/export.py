"""Whole tables as CSV, JSON or JSON lines, a page at a time, without a limit on rows."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import Any, TextIO

from engine.clock import iso
from engine.errors import UsageError
from engine.store.queries import PAGES, first_at
from engine.store.reader import Reads
from engine.store.rows import FILL_COLUMNS, Record
from engine.store.tables import PAIRS_MAX

FORMATS = ("csv", "json", "jsonl")


def export(
    reads: Reads, table: str, form: str, out: TextIO, *, since_ms: int | None = None, until_ms: int | None = None
) -> int:
    """Write the rows of a table, oldest first; return how many. Raises UsageError on an unknown table or form.

    csv: a header, then a line a row; None is empty, a list is JSON in its cell. since_ms, until_ms: only rows from the
    one on and before the other; a table that holds the latest state, as positions do, is written whole.
    """
    if table not in PAGES:
        raise UsageError(f"there is no table {table}; export one of {', '.join(PAGES)}.")
    if form not in FORMATS:
        raise UsageError(f"there is no format {form}; write --format {' or '.join(FORMATS)}.")
    write = {"csv": _write_csv, "json": _write_json, "jsonl": _write_lines}[form]
    return write(_rows(reads, table, since_ms, until_ms), out, table)


def _rows(reads: Reads, table: str, since_ms: int | None, until_ms: int | None) -> Iterator[Record]:
    at: int | None = 0
    if since_ms is not None:
        at = reads.read(first_at(since_ms)) * (PAIRS_MAX if table == "ledger" else 1) - 1
    since, until = (iso(since_ms) if since_ms else ""), (iso(until_ms) if until_ms else "9")
    while at is not None:
        rows, at = reads.read(PAGES[table](at, False))
        yield from (row for row in rows if since <= row.get("ts", since) < until)
        if rows and all(row.get("ts", "") >= until for row in rows):
            return


def _write_csv(rows: Iterator[Record], out: TextIO, table: str) -> int:
    count = 0
    writer = csv.DictWriter(out, FILL_COLUMNS, lineterminator="\n")
    for row in rows:
        if not count:
            writer.fieldnames = list(row)
            writer.writeheader()
        writer.writerow({name: _cell(value) for name, value in row.items()})
        count += 1
    if not count and table == "fills":
        writer.writeheader()
    return count


def _write_json(rows: Iterator[Record], out: TextIO, table: str) -> int:
    count = 0
    out.write("[")
    for row in rows:
        out.write((",\n" if count else "\n") + json.dumps(row, ensure_ascii=False))
        count += 1
    out.write("\n]\n" if count else "]\n")
    return count


def _write_lines(rows: Iterator[Record], out: TextIO, table: str) -> int:
    count = 0
    for row in rows:
        out.write(json.dumps(row, ensure_ascii=False) + "\n")
        count += 1
    return count


def _cell(value: Any) -> Any:
    if isinstance(value, list):
        return json.dumps(value, ensure_ascii=False)
    # A text from outside must not become a formula in the spreadsheet that opens the file (R29).
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") and not _is_amount(value):
        return "'" + value
    return value


def _is_amount(text: str) -> bool:
    try:
        return Decimal(text).is_finite()
    except InvalidOperation:
        return False
