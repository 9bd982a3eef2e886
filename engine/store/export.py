"""Whole tables as CSV, JSON or JSON lines, a page at a time, without a limit on rows."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import Any, TextIO

from engine.errors import UsageError
from engine.store.queries import PAGES
from engine.store.reader import Reads
from engine.store.rows import FILL_COLUMNS, Record

FORMATS = ("csv", "json", "jsonl")


def export(reads: Reads, table: str, form: str, out: TextIO) -> int:
    """Write all rows of a table, oldest first; return how many. Raises UsageError on an unknown table or form.

    csv: a header, then a line a row; None is empty, a list is JSON in its cell.
    """
    if table not in PAGES:
        raise UsageError(f"there is no table {table}; export one of {', '.join(PAGES)}.")
    if form not in FORMATS:
        raise UsageError(f"there is no format {form}; write --format {' or '.join(FORMATS)}.")
    write = {"csv": _write_csv, "json": _write_json, "jsonl": _write_lines}[form]
    return write(_rows(reads, table), out, table)


def _rows(reads: Reads, table: str) -> Iterator[Record]:
    at: int | None = 0
    while at is not None:
        rows, at = reads.read(PAGES[table](at, False))
        yield from rows


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
