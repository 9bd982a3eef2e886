"""How a payload is kept: as it is, or deflated with a fixed dictionary where that is shorter.

A decision that acted takes half the store this way, and every row can still be read by itself. The journal's hash is
over the text, never over the packed bytes, so a zlib that packs differently makes the same chain.
"""

from __future__ import annotations

import zlib

from engine.errors import StoreError

_WINDOW = -12
_MEMORY = 5
_TEXT_BYTES_MAX = 16_000_000

# Part of the store's format: what is packed with it can only be read with it. A better one needs a new schema number.
# Words nearest the end are the cheapest to refer to.
_DICTIONARY = (
    "anthropic:claude-openai:gpt-local:ensemble:vote:debate:supervisor:rsi_reversion:breakout:macd_cross:momentum:"
    "mean_reversion:buy_and_hold:bollinger:donchian: because the price is above below the moving average, "
    "overbought oversold crossed under crossed over uptrend downtrend volume breakout support resistance momentum "
    "filled partially canceled by the venue rejected: insufficient funds expired take profit stop loss "
    "2024-2025-2026-interval,cron,manual,news,webhook,market,"
    '"REJECTED","EXPIRED","NOT_SENT","CANCEL_PENDING","CANCELED","UNKNOWN","SUBMITTING","PARTIALLY_FILLED","FILLED",'
    '"FALLBACK","PARSE_FAILED","TIMED_OUT","RATE_LIMITED","PROVIDER_DOWN","AWAITING_APPROVAL","OBSERVED","FAILED",'
    '"NO_CHANGE","hold","flat","FLATTEN","TAKE_PROFIT","LIMIT","STOP","TARGET","MAKER","TAKER",'
    '"coinbase:kraken:binance:paper:ETH/USDT"paper:SOL/USDT",USD"BTC/USD",'
    '"],["SIZE_CAP","REDUCE","","REFUSE","BUYING_POWER","RISK_PER_TRADE","CAPITAL_SHARE",'
    '"sell",buy","REFUSED",macd:12:26:9=;atr:14=;ema:20=;ema:50=;rsi:14=;sma:20=;sma:50='
)


def pack(text: str) -> str | bytes:
    """Return what to keep for a text: the text, or fewer bytes that unpack() to it."""
    data = text.encode()
    packer = zlib.compressobj(9, zlib.DEFLATED, _WINDOW, _MEMORY, zlib.Z_DEFAULT_STRATEGY, _ZDICT)
    packed = packer.compress(data) + packer.flush()
    return packed if len(packed) < len(data) else text


def unpack(kept: str | bytes) -> str:
    """Return the text behind what was kept. Raises StoreError when the bytes are not one packed text."""
    if isinstance(kept, str):
        return kept
    unpacker = zlib.decompressobj(_WINDOW, zdict=_ZDICT)
    try:
        data = unpacker.decompress(kept, _TEXT_BYTES_MAX)
        if not unpacker.eof or unpacker.unused_data or unpacker.unconsumed_tail:
            raise ValueError("it does not end where it should")
        return data.decode()
    except (zlib.error, ValueError, TypeError) as error:
        raise StoreError(f"a packed payload cannot be read: {error}.") from None


_ZDICT = _DICTIONARY.encode()
