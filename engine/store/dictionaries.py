"""What payloads are packed with: texts that they are likely to repeat.

A dictionary is part of the store's format: what was packed with one can only be read with it, so none is ever edited.
A better one is added with a mark of its own, and a new schema number. Each text of a decision is here once, with the
limits that a new policy has; where a figure belongs stands a short one.
"""

from __future__ import annotations

# Of stores up to schema 2; rows packed with it stay as they are.
FIRST = (
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

_WORDS = (
    "anthropic:claude-openai:gpt-local:ensemble:vote:debate:supervisor:because the price is moving average,"
    "uptrend downtrend volume breakout support resistance momentum overbought oversold take profit stop loss"
    '"REJECTED","EXPIRED","NOT_SENT","CANCEL_PENDING","UNKNOWN","SUBMITTING","PARTIALLY_FILLED","FILLED",'
    '"FALLBACK","PARSE_FAILED","TIMED_OUT","RATE_LIMITED","PROVIDER_DOWN","AWAITING_APPROVAL","OBSERVED","FAILED",'
    '"NO_CHANGE","hold","FLATTEN","LIMIT","MAKER","manual","news","webhook","interval","cron","sell",'
    "coinbase:kraken:binance:ETH/USDT,SOL/USDT,BTC/USDETH/USDT"
    '"CHECK_FAILED","INPUT_MISSING","QUANTITY","TARGET_QTY","sell, sell what is held"'
    '"no loss","m since a refusal","0m"]1% in alts"no price yet","no median yet"1 round trips"% of 1 won"'
    '["rsi-dip","rsi-dip.["rsi-reversion","rsi-reversion.["macd-momentum","macd-momentum.["breakout","breakout.'
    '","candle","heuristic:rsi_reversion","candle","heuristic:macd_momentum","candle","heuristic:breakout","DECIDED",'
)
_SIGNALS = (
    '0000,"RSI 14 reached , overbought from 700000,"RSI 14 came back above 30:  after ","rsi_14=;rsi_14_prev='
    '0000,"MACD crossed below its signal: -0000,"MACD crossed above its signal: -'
    '","macd_12_26_9=-;macd_signal_12_26_9=-;macd_hist_12_26_9=-;atr_14=;'
    "macd_12_26_9_prev=-;macd_signal_12_26_9_prev=-;macd_hist_12_26_9_prev=-;atr_14_prev="
    '0000,"closed below the low of 10 bars: 0000,"closed above the high of 20 bars: '
    '","close=;highest_20=;lowest_10=;atr_14=;close_prev=;highest_20_prev=;lowest_10_prev=;atr_14_prev='
    '0000,"SMA 20 crossed below SMA 50:  under 0000,"SMA 20 crossed above SMA 50:  over '
    '","sma_20=;sma_50=;atr_14=;sma_20_prev=;sma_50=;sma_20_prev=;sma_50_prev=;atr_14_prev='
)
_REFUSED = '"buy","REFUSED",0,"REFUSE","0.59","0.6"]]]]]"POSITION_NOTIONAL","REDUCE",'
_CLOSING = (
    '","FLAT",[["TRADING_STATE","PASS","ACTIVE","ACTIVE, or an exit"],["AGENT_STATE","PASS","RUNNING","RUNNING"],'
    '["CONFIDENCE","PASS","0.7","0.6"],["DUPLICATE_DECISION","PASS","new","an id trades once"],'
    '["ORDER_WORKING","PASS","0 working","0"],'
    '["MARKET_CLOSED","PASS","open","open"],["PRICE_AGE","PASS","0s old","90s"],'
    '["PRICE_COLLAR","PASS","an exit","a price above 0"],["SHORT_NOT_ALLOWED","PASS","0","0 or more"],'
    '["QTY_STEP","PASS","all of it, dust: 1","step 0.00001"],["MIN_NOTIONAL","PASS","all of it, dust: 1","5"]]]]]'
)
_FIXED = (
    '"no stop","below 1"],["STOP_DISTANCE","PASS","no stop asked for","0.1%"],'
    '["SIZING","PASS","fixed quantity 1","qty_fixed"],["SIZE_CAP","PASS","1",'
    '["RISK_PER_TRADE","PASS","1","not sized by risk: fixed quantity 1"],["POSITION_NOTIONAL","PASS","'
    '% in its own grou","100%"],["CAPITAL_SHARE","PASS","'
)
_OPENING = (
    '"TRADE","QTY_FIXED",[["TRADING_STATE","PASS","ACTIVE","ACTIVE, or an exit"],'
    '["AGENT_STATE","PASS","RUNNING","RUNNING"],["AUTONOMY","PASS","auto","at most auto"],'
    '["CONFIDENCE","PASS","0.7","0.6"],["NOT_ALLOWED","PASS","paper:BTC/USDT","the agent\'s list"],'
    '["BLOCKED","PASS","paper:BTC/USDT","not on the block list"],'
    '["DUPLICATE_DECISION","PASS","new","an id trades once"],["ORDER_WORKING","PASS","0 working","0"],'
    '["INSTRUMENT_BLOCKED","PASS","nothing","nothing in doubt"],["MARKET_CLOSED","PASS","open","open"],'
    '["PRICE_AGE","PASS","0s old","90s"],["PRICE_COLLAR","PASS","0.1% from median","10% from median"],'
    '["DECISION_AGE","PASS","decided 0s ago","120s"],["PRICE_DRIFT","PASS","moved 0%","1%"],'
    '["SPREAD","PASS","0.05%, paper\'s: no quote","1%"],["VOLATILITY_INDEX","PASS","off","off"],'
    '["SHORT_NOT_ALLOWED","PASS","1","0 or more"],["STOP_INVALID","PASS","stop 1","below 1"],'
    '["STOP_DISTANCE","PASS","2% below 1","0.1%"],["REWARD_RISK","PASS","off","off"],'
    '["COOLDOWN","PASS","1m since a loss","30m"],["REFUSAL_COOLDOWN","PASS","no refusal","0m"],'
    '["DAILY_LOSS","PASS","-0.1% today","-3%"],["DAILY_PROFIT","PASS","off","off"],["WIN_RATE","PASS","off","off"],'
    '["AGENT_LOSS","PASS","off","off"],["TRADES_PER_DAY","PASS","1 today","10"],'
    '["ACCOUNT_TRADES_PER_DAY","PASS","1 today","50"],["OPEN_POSITIONS","PASS","0 others open","5"],'
    '["VOLATILITY","PASS","off","off"],["AVERAGE_VOLUME","PASS","off","off"],'
    '["CORRELATION","PASS","0 others held","5 above 0.7"],["SIZING","PASS","risk: 1","1% of 100000 at the stop"],'
    '["SIZE_CAP","PASS","1","1"],["RISK_PER_TRADE","PASS","1 at risk","1% of 100000"],'
    '["POSITION_NOTIONAL","PASS","1","10000"],["PORTFOLIO_SHARE","PASS","1%","25%"],'
    '["GROUP_SHARE","PASS","1% in majors","100%"],["CAPITAL_SHARE","PASS","1","100000"],'
    '["NET_EXPOSURE","PASS","1%","100%"],["GROSS_EXPOSURE","PASS","1%","100%"],["LEVERAGE","PASS","0.1x","1x"],'
    '["VALUE_AT_RISK","PASS","off","off"],["BUYING_POWER","PASS","1","1 free"],'
    '["QTY_STEP","PASS","1","step 0.00001"],["MIN_NOTIONAL","PASS","1","5"]]]]]'
)
_ORDERS = (
    '["sma-cross.","sma-cross","candle","heuristic:sma_cross","DECIDED","LIVE","",[["paper:BTC/USDT","flat","ACTED",1,'
    '"buy","ACTED",0,1,0.'
    '[[\0,\0],"CANCELED","position closed"][[\0,\0],"OPEN",""]'
    ':paper:BTC/USDT:target",\1,"sma-cross.","sma-cross","paper:BTC/USDT","TARGET","SELL","TAKE_PROFIT",1.,null]'
    ':paper:BTC/USDT:stop",\1,"sma-cross.","sma-cross","paper:BTC/USDT","STOP","SELL","STOP",1,1.,null,'
    '["sma-cross","EXIT",["paper","paper","paper:BTC/USDT","p1",\0,"SELL",1.,0,"USDT","TAKER",170000]]'
    '["sma-cross","ENTRY",["paper","paper","paper:BTC/USDT","p1",\0,"BUY",1.,0,"USDT","TAKER",17'
    ':paper:BTC/USDT",\1,"sma-cross.","sma-cross","paper:BTC/USDT","EXIT","SELL","MARKET",1.,null,null]'
    ':paper:BTC/USDT",\1,"sma-cross.","sma-cross","paper:BTC/USDT","ENTRY","BUY","MARKET",1.,null,null]'
    '[[\0],"OPEN",""]["sma-cross.'
)
SECOND = "".join((_WORDS, _SIGNALS, _REFUSED, _CLOSING, _FIXED, _OPENING, _ORDERS))
