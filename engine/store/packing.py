"""How a payload is kept: as it is, or deflated with a fixed dictionary where that is shorter.

A decision that acted takes half the store this way, and every row can still be read by itself. The journal's hash is
over the text, never over the packed bytes, so a zlib that packs differently makes the same chain.
"""

from __future__ import annotations

import re
import zlib

from engine.errors import StoreError
from engine.ids import client_order_id

_WINDOW = -13
_MEMORY = 5
_TEXT_BYTES_MAX = 16_000_000
_ID_DIGITS, _STORE_DIGITS = 32, 8
_UNIT, _UNITS_MAX = 4, 255
_WHOLE, _DERIVED = "\0", "\1"
_ID = re.compile('"([0-9a-f]{32})"')

# Part of the store's format: what is packed with it can only be read with it. A better one needs a new schema number.
# Words nearest the end are the cheapest to refer to.
_DICTIONARY = (
    "anthropic:claude-openai:gpt-local:ensemble:vote:debate:supervisor:because the price is moving average,"
    "uptrend downtrend volume breakout support resistance momentum insufficient funds take profit stop loss"
    '"REJECTED","EXPIRED","NOT_SENT","CANCEL_PENDING","UNKNOWN","SUBMITTING","PARTIALLY_FILLED","FILLED",'
    '"FALLBACK","PARSE_FAILED","TIMED_OUT","RATE_LIMITED","PROVIDER_DOWN","AWAITING_APPROVAL","OBSERVED","FAILED",'
    '"NO_CHANGE","hold","REFUSED","FLATTEN","LIMIT","MAKER","manual","news","webhook","interval","cron",'
    "coinbase:kraken:binance:ETH/USDT,SOL/USDT,BTC/USD"
    "RSI 14 came back above 30: after RSI 14 reached , overbought from 70MACD crossed below its signal: "
    "closed above the high of 20 bars: closed below the low of 10 bars: heuristic:rsi_reversion"
    "heuristic:macd_crossheuristic:donchian_breakoutrsi_14=;rsi_14_prev=;close=;atr_14=;macd_12_26_9="
    '"REDUCE","REFUSE","sell, sell what is held"m since a loss","CHECK_FAILED","SIZE_CAP","QUANTITY","TARGET_QTY",'
    '"FLAT",[["an exit","a price above 0"],["QTY_STEP","PASS","all of it, dust: "],["MIN_NOTIONAL","PASS","all of it, '
    'dust: ","QTY_FIXED","RISK_PER_TRADE",'
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
    '","candle","heuristic:sma_cross","DECIDED","LIVE","",[["paper:BTC/USDT","flat","ACTED",0.1,0,0.7,4'
    '"buy","ACTED",0,0.,17"SMA 20 crossed above SMA 50:  over  under  below sma_20=;sma_50=;sma_20_prev=;sma_50_prev='
    '[[\0,\0],"OPEN",""][[\0,\0],"CANCELED","position closed"]'
    ':paper:BTC/USDT:target",\1,"","paper:BTC/USDT","TARGET","SELL","TAKE_PROFIT",0.,null]'
    ':paper:BTC/USDT:stop",\1,"","paper:BTC/USDT","STOP","SELL","STOP",0.,null,'
    '","EXIT",["paper","paper","paper:BTC/USDT","p1",\0,"SELL",0.,"USDT","TAKER",17]]'
    '","ENTRY",["paper","paper","paper:BTC/USDT","p1",\0,"BUY",0.,"USDT","TAKER",17]]'
    ':paper:BTC/USDT",\1,"","paper:BTC/USDT","EXIT","SELL","MARKET",0.,null,null]'
    ':paper:BTC/USDT",\1,"","paper:BTC/USDT","ENTRY","BUY","MARKET",0.,null,null][[\0],"OPEN",""]'
)


def pack(text: str) -> str | bytes:
    """Return what to keep for a text: the text, or fewer bytes that unpack() to it.

    Order ids do not deflate, so they are kept as bytes before the rest, and a control character, which JSON never
    holds unescaped, stands in their place. Of an id made from the text before it, such as an order's from its
    intent, the store's part is enough.
    """
    if _WHOLE in text or _DERIVED in text:
        return text
    head, rest = _without_ids(text)
    if len(head) > _UNIT * _UNITS_MAX:
        return text
    packer = _PACKER.copy()
    packed = bytes([len(head) // _UNIT]) + head + packer.compress(rest.encode()) + packer.flush()
    return packed if len(packed) < len(text.encode()) else text


def unpack(kept: str | bytes) -> str:
    """Return the text behind what was kept. Raises StoreError when the bytes are not one packed text."""
    if isinstance(kept, str):
        return kept
    unpacker = zlib.decompressobj(_WINDOW, zdict=_ZDICT)
    try:
        start = 1 + kept[0] * _UNIT
        data = unpacker.decompress(kept[start:], _TEXT_BYTES_MAX)
        if not unpacker.eof or unpacker.unused_data or unpacker.unconsumed_tail:
            raise ValueError("it does not end where it should")
        return _with_ids(data.decode(), kept[1:start].hex())
    except (zlib.error, ValueError, TypeError, IndexError) as error:
        raise StoreError(f"a packed payload cannot be read: {error}.") from None


def _without_ids(text: str) -> tuple[bytes, str]:
    digits: list[str] = []
    rest: list[str] = []
    at = 0
    for match in _ID.finditer(text):
        piece, order_id = text[at : match.start()], match[1]
        before = _last_text(piece)
        derived = before is not None and client_order_id(order_id[:_STORE_DIGITS], before) == order_id
        digits.append(order_id[:_STORE_DIGITS] if derived else order_id)
        rest += (piece, _DERIVED if derived else _WHOLE)
        at = match.end()
    return bytes.fromhex("".join(digits)), "".join(rest) + text[at:]


def _with_ids(text: str, digits: str) -> str:
    parts, at = text.split(_DERIVED), 0
    whole: list[str] = []
    for part in parts:
        if whole:
            whole.append(f'"{client_order_id(digits[at : at + _STORE_DIGITS], _last_text(whole[-1]) or "")}"')
            at += _STORE_DIGITS
        first, *others = part.split(_WHOLE)
        whole.append(first)
        for other in others:
            whole += (f'"{digits[at : at + _ID_DIGITS]}"', other)
            at += _ID_DIGITS
    if at != len(digits):
        raise ValueError("it has not the ids it should have")
    return "".join(whole)


def _last_text(piece: str) -> str | None:
    """Return the JSON string a piece of an array ends with, None when it ends otherwise."""
    begin = piece.rfind('"', 0, -2) if piece.endswith('",') else -1
    return None if begin < 0 else piece[begin + 1 : -2]


# A copy of the packer costs a tenth of taking the dictionary in anew.
_ZDICT = _DICTIONARY.encode()
_PACKER = zlib.compressobj(9, zlib.DEFLATED, _WINDOW, _MEMORY, zlib.Z_DEFAULT_STRATEGY, _ZDICT)
