"""The list of instruments: what a name means is what the list says."""

from __future__ import annotations

import csv
import gzip
from decimal import Decimal
from pathlib import Path

import pytest

from engine.config import Instruments, assumed
from engine.domain.instrument import Instrument
from engine.errors import UsageError

RECORDINGS = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "candles_5m_ftx_2022-11"

ENTRY = """
[instruments."paper:BTC/USDT"]
aliases = ["BTCUSDT"]
base = "BTC"
quote = "USDT"
price_tick = 0.5
qty_step = "0.001"
min_notional = 10
maker_fee = "0%"
taker_fee = "5bps"
calendar = "24/7"
"""


@pytest.fixture(scope="module")
def listed() -> Instruments:
    return Instruments.load()


def written(folder: Path, text: str) -> Path:
    (folder / "instruments.toml").write_text(text, encoding="utf-8")
    return folder


@pytest.mark.parametrize("name", ["BTCUSD", "BTC/USDT", "btc-usd", "paper:BTC/USDT", "btc_usdt", "PAPER:btc-usdt"])
def test_every_way_to_write_a_name_means_the_same(listed: Instruments, name: str) -> None:
    assert listed.resolve(name).key == "paper:BTC/USDT"


@pytest.mark.parametrize(
    ("name", "key"), [("AAPL", "paper:AAPL/USD"), ("eurusd", "paper:EUR/USD"), ("LINKUSDT", "paper:LINK/USDT")]
)
def test_bundled_names(listed: Instruments, name: str, key: str) -> None:
    assert listed.resolve(name).key == key


def test_the_bundled_list_holds_what_the_recordings_need(listed: Instruments) -> None:
    assert {each.symbol for each in listed} >= {
        *(f"{base}/USDT" for base in ("BTC", "ETH", "SOL", "XRP", "DOGE", "ADA", "LTC", "LINK")),
        "AAPL/USD",
        "EUR/USD",
    }
    assert listed.resolve("AAPL").calendar == "XNYS"
    assert listed.resolve("EURUSD").calendar == "24/5"
    assert listed.resolve("EURUSD").taker_fee == Decimal("0.00002")
    assert not any(each.assumed for each in listed)


def test_an_unknown_name_is_refused_with_what_may_have_been_meant(listed: Instruments) -> None:
    with pytest.raises(UsageError) as raised:
        listed.resolve("BTCUSDX", where="--asset-pair")
    assert str(raised.value) == (
        "--asset-pair BTCUSDX is not in the list of instruments; did you mean paper:BTC/USDT or paper:LTC/USDT? "
        "If not, add it to instruments.toml, or assume stated defaults with --assume-instrument."
    )


def test_the_trader_s_entry_replaces_the_bundled_one(tmp_path: Path) -> None:
    listed = Instruments.load(written(tmp_path, ENTRY))
    btc = listed.resolve("BTCUSDT")
    assert (btc.price_tick, btc.min_notional, btc.maker_fee, btc.taker_fee) == (
        Decimal("0.5"),
        Decimal(10),
        Decimal(0),
        Decimal("0.0005"),
    )
    assert btc.fee_currency == "USDT"
    assert "paper:ETH/USDT" in listed
    with pytest.raises(UsageError, match="BTCUSD is not in the list"):
        listed.resolve("BTCUSD")


def test_a_name_of_the_trader_s_wins_over_a_bundled_one(tmp_path: Path) -> None:
    own = ENTRY.replace("paper:BTC/USDT", "paper:XBT/USD").replace('["BTCUSDT"]', '["BTCUSD"]')
    listed = Instruments.load(written(tmp_path, own))
    assert listed.resolve("btc/usd").key == "paper:XBT/USD"
    assert listed.resolve("BTCUSDT").key == "paper:BTC/USDT"


def test_a_name_two_entries_have_is_refused(tmp_path: Path) -> None:
    second = ENTRY.replace("paper:BTC/USDT", "paper:XBT/USDT")
    listed = Instruments.load(written(tmp_path, ENTRY + second))
    with pytest.raises(UsageError) as raised:
        listed.resolve("BTCUSDT")
    assert str(raised.value) == (
        "instrument BTCUSDT can mean paper:BTC/USDT or paper:XBT/USDT; write the one you mean."
    )


@pytest.mark.parametrize(
    "name", ["BTCUSDT_5m.csv.gz", "BTCUSDT_2022-11_1m.csv", "BTCUSDT.csv", "btc-usd_1m.csv", "BTCUSDT"]
)
def test_a_file_name_is_a_key_up_to_its_first_underscore(listed: Instruments, name: str) -> None:
    assert listed.for_file(Path("recordings") / name).key == "paper:BTC/USDT"


def test_an_unknown_file_name_is_refused_unless_it_may_be_assumed(listed: Instruments) -> None:
    with pytest.raises(UsageError, match=r"^ZZZ_1m.csv: ZZZ is not in the list of instruments; add it"):
        listed.for_file(Path("ZZZ_1m.csv"))
    zzz = listed.for_file(Path("ZZZ_1m.csv"), assume=True)
    assert (zzz.key, zzz.quote, zzz.assumed) == ("paper:ZZZ/USD", "USD", True)
    assert not listed.for_file(Path("BTCUSDT_1m.csv"), assume=True).assumed


def test_a_hostile_name_is_never_assumed() -> None:
    with pytest.raises(UsageError, match="cannot name an instrument"):
        assumed("\x1b[31m")


@pytest.mark.fault("W01", "W03", "W04", "W05", "W08")
@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('base = "BTC"', 'base = "btc"', 'base "btc" must be an asset code in capitals, such as "BTC".'),
        ('base = "BTC"\n', "", "base is missing; add it."),
        ("price_tick = 0.5", "price_tick = 0", "price_tick 0 must be an amount above 0."),
        ("price_tick = 0.5", "price_tick = nan", 'price_tick NaN is not a finite amount; write one such as "10000".'),
        ("price_tick", "price_tik", "price_tik is not a known key; did you mean price_tick?"),
        ('"5bps"', "5", 'taker_fee 5 can be read as 5% or as 500%; write "5%" or "500%".'),
        ('"5bps"', '"50%"', "taker_fee 50% is above 10%; write less."),
        ('"5bps"', '"-1bps"', "taker_fee -1 is negative; write a share above 0."),
        (
            '"24/7"',
            '"9 to 5"',
            'calendar "9 to 5" must be "24/7", "24/5" or an exchange calendar\'s code such as "XNYS".',
        ),
        ('aliases = ["BTCUSDT"]', 'aliases = "BTCUSDT"', 'aliases must be a list such as ["a", "b"], not text.'),
        ('["BTCUSDT"]', '["A", "A"]', "aliases names the same thing twice; take one out."),
    ],
)
def test_a_bad_entry_is_refused_in_one_sentence(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(UsageError) as raised:
        Instruments.load(written(tmp_path, ENTRY.replace(old, new)))
    assert str(raised.value) == f'{tmp_path / "instruments.toml"} [instruments."paper:BTC/USDT"] {message}'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[instruments.x]", '[instruments."x"] is not venue:SYMBOL; name it like "paper:BTC/USDT".'),
        ('[instruments."okx:A/B"]', '[instruments."okx:A/B"] venue "okx" is not known; write paper.'),
        ("[instrument.x]", "instrument is not a known key; did you mean instruments?"),
        ("instruments = 3", '[instruments] must hold tables such as [instruments."paper:BTC/USDT"].'),
        (
            "a = 1\na = 2",
            "is not valid TOML: line 2, column 6: cannot overwrite a value; correct that line.",
        ),
    ],
)
def test_a_bad_file_is_refused_in_one_sentence(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError) as raised:
        Instruments.load(written(tmp_path, text))
    assert str(raised.value).startswith(f"{tmp_path / 'instruments.toml'} ")
    assert message.partition("line 2")[0] in str(raised.value)


@pytest.mark.skipif(not RECORDINGS.is_dir(), reason="the recordings are not on this machine")
@pytest.mark.parametrize("path", sorted(RECORDINGS.glob("*.csv.gz")), ids=lambda path: path.name)
def test_recorded_prices_are_on_the_bundled_ticks(listed: Instruments, path: Path) -> None:
    instrument: Instrument = listed.for_file(path)
    with gzip.open(path, "rt", encoding="utf-8") as rows:
        for row in list(csv.DictReader(rows))[::50]:
            assert Decimal(row["close"]) % instrument.price_tick == 0
