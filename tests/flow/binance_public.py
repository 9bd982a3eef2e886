"""A double of Binance's public side on the loopback: REST and stream, in the shapes the venue documents."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from aiohttp import WSMsgType, web

MINUTE_MS = 60_000


def symbol(base: str) -> dict[str, Any]:
    return {
        "symbol": f"{base}USDT",
        "status": "TRADING",
        "baseAsset": base,
        "baseAssetPrecision": 8,
        "quoteAsset": "USDT",
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "orderTypes": ["LIMIT", "MARKET"],
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "1000000.00", "tickSize": "0.01000000"},
            {"filterType": "LOT_SIZE", "minQty": "0.00001", "maxQty": "9000.0", "stepSize": "0.00001000"},
            {"filterType": "NOTIONAL", "minNotional": "5.00000000", "applyMinToMarket": True},
        ],
        "permissions": [],
        "permissionSets": [["SPOT"]],
    }


class BinancePublic:
    """The venue. now_ms is its time, which only tests move; what it is asked is kept in `asked`.

    failing: HTTP status that every REST answer has, 0 for none. silent: streams take subscriptions and say nothing.
    missing: (symbol, open time) of candles that are not there yet.
    """

    def __init__(self, now_ms: int) -> None:
        self.asked: list[str] = []
        self.connections = 0
        self.failing = 0
        self.silent = False
        self.bad: dict[int, list[Any]] = {}
        self.missing: set[tuple[str, int]] = set()
        self.subscribed = asyncio.Event()
        self._sockets: list[web.WebSocketResponse] = []
        self.now_ms = now_ms
        self._runner: web.AppRunner | None = None
        self.base = ""

    @property
    def api_urls(self) -> dict[str, Any]:
        # ccxt takes a stream for spot by the word "/stream" in its address, as the venue's own has it
        http, ws = f"http://{self.base}/api/v3", f"ws://{self.base}/stream/ws"
        return {"public": http, "private": http, "ws": {"spot": ws}}

    async def __aenter__(self) -> BinancePublic:
        app = web.Application()
        app.router.add_get("/api/v3/exchangeInfo", self._exchange_info)
        app.router.add_get("/api/v3/time", self._time)
        app.router.add_get("/api/v3/klines", self._klines)
        app.router.add_get("/stream/ws/{number}", self._stream)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.base = f"{host}:{port}"
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.drop()
        assert self._runner is not None
        await self._runner.cleanup()

    def _answer(self, request: web.Request, body: Any) -> web.Response:
        self.asked.append(request.path)
        if self.failing == 429:
            return web.json_response({"code": -1003, "msg": "[b]Too many requests[/b]"}, status=429)
        if self.failing:
            return web.Response(text="<h1>[b]Service Unavailable[/b]</h1>", status=self.failing)
        return web.json_response(body)

    async def _exchange_info(self, request: web.Request) -> web.Response:
        markets = [symbol("BTC"), symbol("ETH"), {**symbol("OLD"), "status": "BREAK"}, {**symbol("ODD"), "filters": []}]
        info = {
            "timezone": "UTC",
            "serverTime": self.now_ms,
            "rateLimits": [],
            "exchangeFilters": [],
            "symbols": markets,
        }
        return self._answer(request, info)

    async def _time(self, request: web.Request) -> web.Response:
        return self._answer(request, {"serverTime": self.now_ms})

    async def _klines(self, request: web.Request) -> web.Response:
        assert request.query["interval"] == "1m"
        since, limit = int(request.query["startTime"]), int(request.query["limit"])
        first, now_ms = -(-since // MINUTE_MS) * MINUTE_MS, self.now_ms
        opens = [ts for ts in range(first, now_ms, MINUTE_MS) if (request.query["symbol"], ts) not in self.missing]
        # the last one is still forming: the venue sends it like any other
        return self._answer(request, [self.bad.get(ts) or kline(ts) for ts in opens[:limit]])

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.connections += 1
        self._sockets.append(socket)
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                asked = message.json()
                self.asked += asked["params"]
                if not self.silent:
                    await socket.send_json({"result": None, "id": asked["id"]})
                self.subscribed.set()
        return socket

    async def say(self, text: str) -> None:
        """Send a frame to everyone who listens."""
        for socket in [one for one in self._sockets if not one.closed]:
            await socket.send_str(text)

    async def ticker(self, base: str = "BTC", **fields: Any) -> None:
        """Send a 24-hour ticker: bid 100.10 x 1.5, offer 100.20 x 2, stamped now, but for the fields named."""
        now_ms = self.now_ms
        message = {
            "e": "24hrTicker", "E": now_ms, "s": f"{base}USDT", "p": "1", "P": "1", "w": "100", "x": "99", "c": "100",
            "Q": "1", "b": "100.10", "B": "1.5", "a": "100.20", "A": "2", "o": "99", "h": "101", "l": "98", "v": "10",
            "q": "1000", "O": now_ms - 86_400_000, "C": now_ms, "F": 0, "L": 1, "n": 1,
        }  # fmt: skip
        await self.say(json.dumps({name: value for name, value in {**message, **fields}.items() if value is not ...}))

    async def drop(self) -> None:
        """Cut every stream."""
        self.subscribed.clear()
        for socket in self._sockets:
            await socket.close()
        self._sockets.clear()


def kline(ts_ms: int) -> list[Any]:
    """Return the venue's candle of a minute; its close tells the minute."""
    close = f"{100 + ts_ms // MINUTE_MS % 50}.30"
    return [
        ts_ms, "100.10", "200.00", "50.00", close, "12.50000000",
        ts_ms + MINUTE_MS - 1, "1250.0", 7, "6.0", "600.0", "0",
    ]  # fmt: skip
