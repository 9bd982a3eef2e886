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
    "mean_reversion:buy_and_hold:bollinger:donchian:because the price is above below the moving average,"
    "overbought oversold crossed under crossed over uptrend downtrend volume breakout support resistance momentum "
    "partially canceled by the venue rejected: insufficient funds expired take profit stop loss"
    '"REJECTED","EXPIRED","NOT_SENT","CANCEL_PENDING","CANCELED","UNKNOWN","SUBMITTING","PARTIALLY_FILLED","FILLED",'
    '"FALLBACK","PARSE_FAILED","TIMED_OUT","RATE_LIMITED","PROVIDER_DOWN","AWAITING_APPROVAL","OBSERVED","FAILED",'
    '"NO_CHANGE","hold","flat","REFUSED","FLATTEN","TAKE_PROFIT","TARGET","MAKER"'
    "interval,cron,manual,news,webhook,market,coinbase:kraken:binance:ETH/USDT,SOL/USDT,BTC/USD"
    '"REDUCE","all of it, dust: "REFUSE"sell, sell what is held"m since a loss"macd:12:26:9=;atr:14=;ema:20=;'
    'rsi:14=;","CHECK_FAILED",""an exit","a price above 0"],'
    '[["TRADING_STATE","PASS","ACTIVE","ACTIVE, or an exit"],["AGENT_STATE","PASS","RUNNING","RUNNING"],'
    '["CONFIDENCE","PASS","0.7","0.6"],["NOT_ALLOWED","PASS","paper:BTC/USDT","the agent\'s list"],'
    '["BLOCKED","PASS","paper:BTC/USDT","not on the block list"],'
    '["DUPLICATE_DECISION","PASS","new","an id trades once"],["ORDER_WORKING","PASS","0 working","0"],'
    '["MARKET_CLOSED","PASS","open","open"],["PRICE_AGE","PASS","0s old","90s"],'
    '["PRICE_COLLAR","PASS","0.1% from median","10% from median"],["SHORT_NOT_ALLOWED","PASS","0.1","0 or more"],'
    '["STOP_INVALID","PASS","none","below 4"],["COOLDOWN","PASS","no loss","30m"],'
    '["TRADES_PER_DAY","PASS","1 today","100"],["ACCOUNT_TRADES_PER_DAY","PASS","1 today","50"],'
    '["OPEN_POSITIONS","PASS","0 others open","5"],["SIZE_CAP","PASS","0.1","2.3"],'
    '["RISK_PER_TRADE","PASS","999.9 at risk","1% of 100"],["POSITION_NOTIONAL","PASS","9999.9","10000"],'
    '["PORTFOLIO_SHARE","PASS","9.9%","25%"],["CAPITAL_SHARE","PASS","9999.9","100"],'
    '["GROSS_EXPOSURE","PASS","9.9%","100%"],["BUYING_POWER","PASS","10"," free"],'
    '["QTY_STEP","PASS","0.1","step 0.00001"],["MIN_NOTIONAL","PASS","9999.9","5"]]]]]'
    '["ENTRY",["paper","main",""EXIT","STOP","SELL","STOP","LIMIT",null,null]"],"OPEN",""]'
    '"BUY","MARKET",0.2,4"USDT","TAKER",17]]'
    '","candle","heuristic:sma_cross","DECIDED","LIVE","",[["paper:BTC/USDT","sell","ACTED",0.1,0,0.7,4'
    '"buy","ACTED",0,0.,17"SMA 20 crossed above SMA 50 ","sma:20=4;sma:50=4'
)


def pack(text: str) -> str | bytes:
    """Return what to keep for a text: the text, or fewer bytes that unpack() to it."""
    data = text.encode()
    packer = _PACKER.copy()
    packed = packer.compress(data) + packer.flush()
    return packed if len(packed) < len(data) else text


def unpack(kept: str | bytes) -> str:
    """Return the text behind what was kept. Raises StoreError when the bytes are not one packed text."""
    if isinstance(kept, str):
        return kept
    unpacker = _UNPACKER.copy()
    try:
        data = unpacker.decompress(kept, _TEXT_BYTES_MAX)
        if not unpacker.eof or unpacker.unused_data or unpacker.unconsumed_tail:
            raise ValueError("it does not end where it should")
        return data.decode()
    except (zlib.error, ValueError, TypeError) as error:
        raise StoreError(f"a packed payload cannot be read: {error}.") from None


# Copies of these two cost a tenth of taking the dictionary in anew.
_ZDICT = _DICTIONARY.encode()
_PACKER = zlib.compressobj(9, zlib.DEFLATED, _WINDOW, _MEMORY, zlib.Z_DEFAULT_STRATEGY, _ZDICT)
_UNPACKER = zlib.decompressobj(_WINDOW, zdict=_ZDICT)
