"""ccxt's exchanges as this program uses them: public data, no keys, figures as text, failures in words."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from engine.domain.instrument import Instrument
from engine.errors import UsageError, VenueUnreachableError

_TIMEOUT_MS = 10_000
_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    # only what prices need: without these, markets of every kind are fetched, and tickers come without bid and offer
    "binance": {
        "fetchMargins": False,
        "fetchCurrencies": False,
        "fetchMarkets": {"types": ["spot"]},
        "watchTickers": {"name": "ticker"},
    },
}
_WORDS = {
    "RequestTimeout": "did not answer in time",
    "RateLimitExceeded": "asks us to slow down",
    "DDoSProtection": "asks us to slow down",
    "OnMaintenance": "is under maintenance",
    "ExchangeNotAvailable": "cannot be reached",
    "NetworkError": "cannot be reached",
    "BadResponse": "gave an answer that cannot be read",
    "NullResponse": "gave no answer",
    "JSONDecodeError": "sent a message that cannot be read",
    "BadSymbol": "does not trade one of our instruments",
    "ExchangeClosedByUser": "was left",
}


def make_exchange(exchange_id: str, api_urls: Mapping[str, Any] | None = None) -> Any:
    """Make a ccxt.pro exchange without keys. api_urls: laid over its own addresses. UsageError for an unknown one."""
    import ccxt.pro  # 0.5 s, and only live data needs it

    if exchange_id not in ccxt.pro.exchanges:
        raise UsageError(f'ccxt knows no exchange "{exchange_id}" with streams; name one such as binance or kraken.')
    # figures become Decimals from the venue's own text: the default is float, and it is set while the class is made
    kind = type(exchange_id, (getattr(ccxt.pro, exchange_id),), {"number": str})
    exchange = kind({
        "enableRateLimit": True,
        "timeout": _TIMEOUT_MS,
        "newUpdates": True,
        "options": {"defaultType": "spot", **_OPTIONS.get(exchange_id, {})},
    })  # fmt: skip
    if api_urls:
        exchange.urls["api"] = exchange.deep_extend(exchange.urls["api"], api_urls)
    return exchange


def in_words(exchange_id: str, error: BaseException) -> str:
    """Say what went wrong in our own words: a venue's text may be anything, and long."""
    for kind in type(error).__mro__:
        if kind.__name__ in _WORDS:
            return f"{exchange_id} {_WORDS[kind.__name__]}"
    return f"{exchange_id} failed ({type(error).__name__})"


def retry_after_ms(exchange: Any) -> int:
    """Return how long the venue's last answer asks us to stay away (E18); 0 when it does not."""
    headers = getattr(exchange, "last_response_headers", None) or {}
    said = next((value for name, value in headers.items() if name.lower() == "retry-after"), "0")
    return int(said) * 1000 if str(said).isascii() and str(said).isdigit() else 0


def symbol_of(key: str) -> str:
    """Return the venue's symbol in an instrument key.

    >>> symbol_of("paper:BTC/USDT")
    'BTC/USDT'
    """
    return key.partition(":")[2]


def timeframe_of(exchange: Any, interval_ms: int) -> str:
    """Return the exchange's word for a bar length, such as "5m". Raises UsageError with the words it has."""
    words = {exchange.parse_timeframe(word) * 1000: word for word in exchange.timeframes or ()}
    if interval_ms not in words:
        there = ", ".join(words.values()) or "none"
        raise UsageError(f"{exchange.id} has no candles of {interval_ms // 1000} s; it has {there}.")
    return words[interval_ms]


async def load_instruments(exchange_id: str, api_urls: Mapping[str, Any] | None = None) -> list[Instrument]:
    """Return what the exchange trades for cash now, from its public list, sorted; no keys needed.

    A market that does not say its steps is left out. Raises VenueUnreachableError.
    """
    exchange = make_exchange(exchange_id, api_urls)
    try:
        markets = await exchange.load_markets()
    except Exception as error:
        raise VenueUnreachableError(f"The list of markets could not be read: {in_words(exchange_id, error)}.") from None
    finally:
        await exchange.close()
    digits = _is_in_digits(exchange)
    found = [_instrument(exchange_id, market, digits) for market in markets.values() if market.get("spot")]
    return sorted((each for each in found if each is not None), key=lambda one: one.key)


def _is_in_digits(exchange: Any) -> bool | None:
    """Whether precisions count decimal places (not steps); None for significant digits, which give no step."""
    import ccxt

    return {ccxt.TICK_SIZE: False, ccxt.DECIMAL_PLACES: True}.get(exchange.precisionMode)


def _instrument(exchange_id: str, market: Mapping[str, Any], digits: bool | None) -> Instrument | None:
    precision = market.get("precision") or {}
    tick, step = _step(precision.get("price"), digits), _step(precision.get("amount"), digits)
    if tick is None or step is None or market.get("active") is False:
        return None
    least = ((market.get("limits") or {}).get("cost") or {}).get("min")
    return Instrument(
        venue=exchange_id,
        symbol=market["symbol"],
        base=market["base"],
        quote=market["quote"],
        price_tick=tick,
        qty_step=step,
        min_notional=Decimal(str(least or 0)),
        maker_fee=Decimal(str(market.get("maker") or 0)),
        taker_fee=Decimal(str(market.get("taker") or 0)),
        aliases=(market["id"],),
    )


def _step(said: Any, digits: bool | None) -> Decimal | None:
    if said is None or digits is None:
        return None
    step = Decimal(1).scaleb(-int(said)) if digits else Decimal(str(said))
    return step if step.is_finite() and step > 0 else None
