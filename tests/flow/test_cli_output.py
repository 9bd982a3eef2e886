"""What commands print for people and for programs."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from console.output import Progress, cell, grouped, print_fields, print_json, print_rows, table, with_instants


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "–"),
        ("", "–"),
        (True, "yes"),
        (Decimal("1234567.8900"), "1,234,567.8900"),
        ("0.00000001", "0.00000001"),
        ("12345678901234567.123456789", "12,345,678,901,234,567.123456789"),
        ("-1000", "-1,000"),
        ("2022-11-08T12:34:56.000Z", "2022-11-08 12:34:56"),
        (["paper:BTC/USDT", "paper:ETH/USDT"], "paper:BTC/USDT, paper:ETH/USDT"),
        ({"USDT": "1.5"}, "USDT 1.5"),
        ([], "–"),
        ("[@click=app.quit]x", "[@click=app.quit]x"),
    ],
)
def test_a_value_on_one_line(value: object, shown: str) -> None:
    assert cell(value) == shown


@pytest.mark.fault("W22")
@pytest.mark.parametrize("text", ["buy\x1b[2Jnow", "a\nb", "a\u202eb", "\x9b31m", "x\x07"])
def test_nothing_unprintable_reaches_the_terminal(text: str) -> None:
    assert cell(text).isprintable()


def test_long_text_is_cut() -> None:
    assert len(cell("x" * 500)) == 60


def test_a_process_is_named_and_money_is_rounded_to_cents_for_a_person(capsys: pytest.CaptureFixture[str]) -> None:
    print_fields({"owner_pid": 7704, "notional": "1999.999084", "realized": "12.5", "rows": 7704})
    shown = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert shown == [["owner", "pid", "7704"], ["notional", "2,000.00"], ["realised", "12.50"], ["rows", "7,704"]]


def test_a_table_aligns_numbers_right_and_text_left() -> None:
    rows = [
        {"agent": "a", "qty": "1000", "why": "first"},
        {"agent": "much-longer", "qty": None, "why": "x\x1by"},
    ]
    assert table(rows, ["agent", "qty", "why"]).splitlines() == [
        "agent          qty  why",
        "-----------  -----  -----",
        "a            1,000  first",
        "much-longer      –  x␛y",
    ]


def test_wide_characters_keep_the_columns_apart() -> None:
    lines = table([{"a": "買い", "b": "1"}, {"a": "buy", "b": "2"}], ["a", "b"]).splitlines()
    assert [line[-1] for line in lines[2:]] == ["1", "2"]
    assert lines[2] == "買い  1"


def test_json_keeps_every_digit(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"a": Decimal("12345678901234567.10"), "b": "é"})
    out = capsys.readouterr().out
    assert json.loads(out) == {"a": "12345678901234567.10", "b": "é"}
    assert out.count("\n") == 1


def test_json_refuses_what_is_no_number(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        print_json({"a": float("nan")})


def test_rows_as_json_are_a_list_even_when_there_are_none(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows([], as_json=True, nothing="No fills yet.")
    print_rows([], as_json=False, nothing="No fills yet.")
    assert capsys.readouterr().out == "[]\nNo fills yet.\n"


def test_only_named_columns_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows([{"a": "1", "b": "2", "c": "3"}], as_json=False, nothing="", columns=("c", "a", "gone"))
    assert capsys.readouterr().out.splitlines()[0].split() == ["c", "a"]


def test_nested_fields_are_indented(capsys: pytest.CaptureFixture[str]) -> None:
    print_fields({"cycle_id": "a.1", "order": {"qty": "1000"}, "fills": [{"qty": "1", "price": "2"}], "none": []})
    assert capsys.readouterr().out.splitlines() == [
        "cycle id  a.1",
        "order",
        "  qty  1,000",
        "fills",
        "  qty  price",
        "  ---  -----",
        "    1      2",
        "none      –",
    ]


def test_instants_become_utc_times_and_durations_stay() -> None:
    view = {"now_ms": 1_700_000_000_123, "agents": [{"last_ms": None, "age_ms": 5}]}
    assert with_instants(view) == {
        "now": "2023-11-14T22:13:20.123Z",
        "agents": [{"last_at": None, "age_ms": 5}],
    }


def test_grouping_keeps_leading_and_trailing_digits() -> None:
    assert (grouped("0"), grouped("1000.000"), grouped("-0.5")) == ("0", "1,000.000", "-0.5")


def test_progress_is_drawn_once_a_percent_and_wiped(capsys: pytest.CaptureFixture[str]) -> None:
    bar = Progress(enabled=True)
    for bars in range(1001):
        bar(bars / 1000, bars)
    bar.close()
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("%") == 101
    assert captured.err.endswith("\r")


def test_progress_without_a_terminal_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    bar = Progress(enabled=False)
    bar(0.5, 10)
    bar.close()
    assert capsys.readouterr().err == ""
