"""`quarterdeck differences` on a store that no engine owns: it is its engine for as long as the command takes."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from console.cli import run
from engine.runtime.reads import verify

Make = Callable[..., Awaitable[Any]]


@pytest.fixture
async def store(make_world: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store whose venue holds a coin more and some money more than its journal says, as its next start finds it."""
    monkeypatch.setenv("QUARTERDECK_HOME", str(tmp_path))
    root = tmp_path / "kept"
    world = await make_world(root=root, durable=True)
    world.parts.gateway.deposit("BTC", Decimal(1))
    world.parts.gateway.deposit("USDT", Decimal(500))
    world.close()
    (await make_world(root=root, durable=True)).close()
    return root


def said(capsys: pytest.CaptureFixture[str], *args: object) -> tuple[int, str]:
    capsys.readouterr()
    code = run([str(arg) for arg in args])
    out, err = capsys.readouterr()
    return code, out or err


@pytest.mark.fault("E32", "E34")
def test_differences_are_listed_explained_and_approved(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    at = ("--store", store)
    code, text = said(capsys, "differences", *at, "--json")
    assert code == 0
    assert [(row["difference_id"], row["asset"], row["venue"], row["how"]) for row in json.loads(text)] == [
        ("d2", "USDT", "100500", None),
        ("d1", "BTC", "1", None),
    ]
    told = json.loads(said(capsys, "incidents", *at, "--json")[1])
    assert any("`quarterdeck differences explain d1" in row["what_to_do"] for row in told)
    assert said(capsys, "differences", "explain", "d9", "--note", "x", *at) == (
        1, "No difference 'd9' is open; those that are: d1, d2.\n",
    )  # fmt: skip
    code, text = said(capsys, "differences", "approve", "d1", "--note", "gift", "--as", "deposit", *at)
    assert (code, "give the price of one" in text) == (1, True)
    priced = ("differences", "approve", "d1", "--note", "gift", "--as", "deposit", "--price", "50000", *at)
    assert said(capsys, *priced)[0] == 0
    assert said(capsys, "differences", "explain", "d2", "--note", "rebate programme", *at, "--json")[0] == 0
    assert said(capsys, "differences", *at) == (0, "Nothing differs from the venue.\n")
    for typed, told in (("-5%", "Stop -5% is negative"), ("off", "--bare"), ("dear", "no distance and no price")):
        code, text = said(capsys, "protect", "BTC/USDT", f"--stop={typed}", *at)
        assert (code, told in text) == (2, True), text
    code, text = said(capsys, "protect", "BTC/USDT", "--stop", "5%", *at)
    assert (code, "no price of paper:BTC/USDT is known here" in text) == (1, True)
    code, text = said(capsys, "protect", "BTC/USDT", "--stop", "45000", *at)
    assert (code, "no price of paper:BTC/USDT is known here" in text) == (1, True)
    code, text = said(capsys, "protect", "BTC/USDT", "--bare", *at, "--json")
    assert (code, json.loads(text)["text"]) == (
        0, "external's 1 paper:BTC/USDT stand without a stop, as you say; nothing rests for them."
    )  # fmt: skip
    code, text = said(capsys, "differences", "--all", *at, "--json")
    assert [(row["how"], row["note"]) for row in json.loads(text)] == [
        ("EXPLAINED", "rebate programme"),
        ("APPROVED", "gift"),
    ]
    assert verify(store).ok


@pytest.mark.parametrize("price", ["0", "-1", "dear", "nan"])
def test_price_that_is_none_is_refused_before_anything_is_asked(
    store: Path, capsys: pytest.CaptureFixture[str], price: str
) -> None:
    code, text = said(capsys, "differences", "approve", "d1", "--note", "x", f"--price={price}", "--store", store)
    assert (code, text.count("\n"), "--price" in text) == (2, 1, True)
