"""What ARCHITECTURE.md shows of the code is what the code says."""

from engine.domain.lifecycle import as_markdown
from engine.risk import guardrails
from tests.house.sources import ROOT


def test_the_order_life_cycle_in_the_book_is_the_one_in_the_code() -> None:
    book = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    _, _, rest = book.partition("engine.domain.lifecycle.as_markdown(); a house test compares -->\n")
    assert rest.partition("\n<!-- end -->")[0] == as_markdown()


def test_the_guardrails_in_the_book_are_those_in_the_code() -> None:
    book = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    _, _, rest = book.partition("engine.risk.guardrails.as_markdown(); a house test compares -->\n")
    assert rest.partition("\n<!-- end -->")[0] == guardrails.as_markdown()
