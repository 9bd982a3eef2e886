"""The table of faults and tests is well formed; `make faults` prints it, with what no test names yet."""

import ast

import pytest

from tests.house.faults import MarkerError, covered, named_in, reasons, report, titles
from tests.house.sources import ROOT, Source

COUNTS = {"P": 40, "E": 50, "A": 30, "C": 12, "U": 17, "W": 23}


def test_the_codes_are_complete() -> None:
    assert list(titles()) == [
        f"{letter}{number:02}" for letter, count in COUNTS.items() for number in range(1, count + 1)
    ]


def test_no_test_names_an_unknown_fault() -> None:
    known = titles()
    assert {code: tests for code, tests in covered().items() if code not in known} == {}


def test_a_reason_stands_only_for_a_known_fault_that_no_test_names() -> None:
    assert set(reasons()) - set(titles()) == set()
    assert set(reasons()) & set(covered()) == set()


def test_every_fault_has_a_test_or_a_reason() -> None:
    assert set(titles()) - set(covered()) - set(reasons()) == set()


def test_the_report_names_every_code_once() -> None:
    lines = report().splitlines()
    assert [line[:3] for line in lines if line[:3] in titles()] == list(titles())


def written(code: str) -> Source:
    source = Source(ROOT / "tests/unit/test_x.py")
    source.__dict__["tree"] = ast.parse(code)
    return source


def test_a_marker_is_found_wherever_pytest_takes_it() -> None:
    code = """
pytestmark = pytest.mark.fault("P01")

@pytest.mark.fault("P03", "E01")
def test_a(): ...

class TestB:
    @pytest.mark.parametrize("x", [pytest.param(1, marks=pytest.mark.fault("E05"))])
    async def test_c(self): ...
"""
    file = "tests/unit/test_x.py"
    assert list(named_in(written(code))) == [
        ("P01", file),
        ("P03", f"{file}::test_a"),
        ("E01", f"{file}::test_a"),
        ("E05", f"{file}::TestB::test_c"),
    ]


@pytest.mark.parametrize("call", ["fault()", "fault(CODE)", "fault(*CODES)", "fault(code='P01')", "fault(3)"])
def test_a_marker_that_cannot_be_read_is_refused(call: str) -> None:
    with pytest.raises(MarkerError):
        list(named_in(written(f"pytestmark = pytest.mark.{call}")))
