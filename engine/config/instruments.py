"""What can be traded: the bundled list, overlaid by the trader's instruments.toml; a name means what the list says."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from decimal import Decimal
from pathlib import Path

from engine.config.fields import Key, choice, money, one_of, pattern, read_table, share, text, words
from engine.config.toml import read_toml
from engine.domain.instrument import Instrument
from engine.errors import UsageError

BUNDLED = Path(__file__).parent / "defaults" / "instruments.toml"
FILE_NAME = "instruments.toml"

_ASSET = pattern(r"[A-Z0-9]{1,20}", 'an asset code in capitals, such as "BTC"')
_STEP = money(most="1e9", above_zero=True)
_FEE = share(most="10%", zero=True)
_KEYS = {
    "aliases": Key("aliases", words(pattern(r"\S{1,40}", 'a name without spaces, such as "BTCUSDT"'))),
    "base": Key("base", _ASSET, required=True),
    "quote": Key("quote", _ASSET, required=True),
    "price_tick": Key("price_tick", _STEP, required=True),
    "qty_step": Key("qty_step", _STEP, required=True),
    "min_notional": Key("min_notional", money(), required=True),
    "maker_fee": Key("maker_fee", _FEE, required=True),
    "taker_fee": Key("taker_fee", _FEE, required=True),
    "fee_asset": Key("fee_asset", pattern(r"quote|base|[A-Z0-9]{1,20}", '"quote", "base" or an asset code')),
    "calendar": Key(
        "calendar",
        pattern(r"24/7|24/5|[A-Za-z_]{3,20}", '"24/7", "24/5" or an exchange calendar\'s code such as "XNYS"'),
        required=True,
    ),
    "group": Key("group", text(40)),
}
_VENUES = choice(["paper"])


class Instruments:
    """The instruments known, by every name they have."""

    def __init__(self, bundled: Iterable[Instrument], own: Iterable[Instrument] = ()) -> None:
        """Take the bundled list and the trader's own, which wins over it in keys and in names."""
        overlay = {each.key: each for each in own}
        base = {each.key: each for each in bundled if each.key not in overlay}
        self._by_key = dict(sorted({**base, **overlay}.items()))
        self._names = _names(overlay.values())
        for name, keys in _names(base.values()).items():
            self._names.setdefault(name, keys)

    @staticmethod
    def load(config_dir: Path | None = None) -> Instruments:
        """Read the bundled list and, where there is one, the instruments.toml of a configuration directory."""
        path = config_dir / FILE_NAME if config_dir else None
        own = read_instruments(path) if path and path.exists() else []
        return Instruments(read_instruments(BUNDLED), own)

    def __iter__(self) -> Iterator[Instrument]:
        return iter(self._by_key.values())

    def __contains__(self, key: str) -> bool:
        return key in self._by_key

    def resolve(self, name: str, *, where: str = "instrument") -> Instrument:
        """Return what a name means; case and the separators / - _ do not matter.

        Raises UsageError when no instrument, or more than one, has that name; nothing is guessed from it.
        """
        if name in self._by_key:
            return self._by_key[name]
        keys = self._names.get(_folded(name), ())
        if len(keys) == 1:
            return self._by_key[keys[0]]
        if keys:
            raise UsageError(f"{where} {name} can mean {one_of(keys)}; write the one you mean.")
        raise UsageError(f"{where} {name} is not in the list of instruments; {self._hint(name)}")

    def key_of(self, where: str, name: object) -> str:
        """Return the key of what a name means. Raises UsageError as resolve() does."""
        return self.resolve(str(name), where=where).key

    def for_file(self, path: Path, *, assume: bool = False) -> Instrument:
        """Return the instrument that a recording's file name is a key to: the part before the first underscore.

        assume: an unknown name gets the stated defaults of assumed(). Raises UsageError as resolve() does.
        """
        name = path.name.partition("_")[0] if "_" in path.name else path.name.partition(".")[0]
        return self.assume(name) if assume else self.resolve(name, where=f"{path.name}:")

    def assume(self, name: str) -> Instrument:
        """Return what a name means; where it means nothing, assumed() of it, which is in the list from then on."""
        if name in self._by_key or self._names.get(_folded(name)):
            return self.resolve(name)
        made = assumed(name)
        self._by_key[made.key], self._names[_folded(name)] = made, (made.key,)
        return made

    def _hint(self, name: str) -> str:
        near = difflib.get_close_matches(_folded(name), self._names, n=3, cutoff=0.6)
        keys = sorted({key for each in near for key in self._names[each]})
        advice = f"add it to {FILE_NAME}, or assume stated defaults with --assume-instrument."
        return f"did you mean {one_of(keys)}? If not, {advice}" if keys else advice


def assumed(name: str) -> Instrument:
    """Return an instrument by stated defaults, labelled as assumed: fine ticks, 0.1 % fees, always open, in USD.

    >>> assumed("xyz").key, assumed("xyz").assumed
    ('paper:XYZ/USD', True)
    """
    base = name.upper()
    if not re.fullmatch(r"[A-Z0-9.-]{1,20}", base):
        raise UsageError(f"{name!r} cannot name an instrument; use up to 20 letters, digits, dots or hyphens.")
    return Instrument(
        venue="paper",
        symbol=f"{base}/USD",
        base=base,
        quote="USD",
        price_tick=Decimal("0.000001"),
        qty_step=Decimal("0.00000001"),
        min_notional=Decimal(1),
        maker_fee=Decimal("0.001"),
        taker_fee=Decimal("0.001"),
        group="assumed",
        assumed=True,
    )


def read_instruments(path: Path) -> list[Instrument]:
    """Read one instruments.toml, in its order."""
    tables = read_toml(path)
    top = read_table(tables, str(path), {"instruments": Key("instruments", lambda _where, value: value)})
    entries = top.get("instruments", {})
    if not isinstance(entries, dict):
        raise UsageError(f'{path} [instruments] must hold tables such as [instruments."paper:BTC/USDT"].')
    return [_instrument(f'{path} [instruments."{key}"]', key, table) for key, table in entries.items()]


def _instrument(where: str, key: str, table: object) -> Instrument:
    found = re.fullmatch(r"([a-z0-9_]{1,20}):([A-Z0-9][A-Z0-9/._:-]{0,39})", key)
    if found is None:
        raise UsageError(f'{where} is not venue:SYMBOL; name it like "paper:BTC/USDT".')
    venue = _VENUES(f"{where} venue", found[1])
    return Instrument(venue=venue, symbol=found[2], **read_table(table, where, _KEYS))


def _folded(name: str) -> str:
    return re.sub(r"[/_-]", "", name.strip().upper())


def _names(instruments: Iterable[Instrument]) -> dict[str, tuple[str, ...]]:
    names: dict[str, tuple[str, ...]] = {}
    for each in instruments:
        for name in dict.fromkeys(map(_folded, (each.key, each.symbol, *each.aliases))):
            names[name] = (*names.get(name, ()), each.key)
    return names
