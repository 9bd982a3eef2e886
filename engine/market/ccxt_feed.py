"""Live market data through ccxt: quotes by websocket, closed candles by REST, on a staleness clock of our own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from typing import Any

from engine.clock import MINUTE_MS, Clock
from engine.domain.market import FeedEvent, FeedStatus, Quote, Source, SourceKind
from engine.errors import QuarterdeckError
from engine.market.ccxt_candles import CandleLine
from engine.market.ccxt_exchange import in_words, make_exchange, retry_after_ms, symbol_of, timeframe_of
from engine.market.feed import FeedSummary
from engine.market.rows import NOT_POSITIVE, RuleError, read_number

NO_TIMESTAMP = "NO_TIMESTAMP"
NO_PRICE = "NO_PRICE"
_QUOTES, _CANDLES = "quotes", "candles"


class _SilentError(Exception):
    """The stream is open and says nothing."""


class CcxtFeed:
    """Public data of one exchange, without keys; reconnects for as long as it is read.

    keys: instrument keys; what follows their first colon is the exchange's symbol. api_urls: laid over ccxt's own
    addresses. staleness_ms: a stream that says nothing for so long is given up and built anew (E24). backoff_ms: the
    first and the longest wait after a failure, doubling. warm_bars: candles of history given out first.
    """

    def __init__(
        self,
        exchange_id: str,
        keys: Sequence[str],
        *,
        clock: Clock,
        interval_ms: int = MINUTE_MS,
        api_urls: Mapping[str, Any] | None = None,
        warm_bars: int = 300,
        staleness_ms: float = 30_000,
        backoff_ms: tuple[float, float] = (1_000, 60_000),
        settle_ms: float = 1_500,
        retry_ms: float = 2_000,
    ) -> None:
        self.source = Source(kind=SourceKind.LIVE, name=exchange_id)
        self.summary = FeedSummary()
        self._exchange_id, self._keys, self._interval_ms = exchange_id, sorted(keys), interval_ms
        self._clock, self._api_urls = clock, api_urls
        self._staleness_ms, self._backoff_ms = staleness_ms, backoff_ms
        self._pending: dict[object, FeedEvent] = {}
        self._wake = asyncio.Event()
        self._down: dict[str, str] = {_QUOTES: "connecting", _CANDLES: "connecting"}
        self._heard_ms = 0.0
        self._markets: Any = None
        self._listing = asyncio.Lock()
        self._candles = CandleLine(
            self._keys, interval_ms, clock=clock, source=self.source, summary=self.summary, emit=self._put,
            warm_bars=warm_bars, settle_ms=settle_ms, retry_ms=retry_ms,
        )  # fmt: skip

    async def events(self) -> AsyncIterator[FeedEvent]:
        """Yield quotes, the latest of each instrument only, Instants and what becomes of the connection; never ends.

        Raises UsageError when the exchange is unknown or has no such candles.
        """
        # no connection is opened here, so there is none to close
        timeframe_of(make_exchange(self._exchange_id, self._api_urls), self._interval_ms)
        lines = (self._keep(_CANDLES, self._candle_line), self._keep(_QUOTES, self._quote_line))
        tasks = [asyncio.create_task(line) for line in lines]
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                pending, self._pending = self._pending, {}
                for event in pending.values():
                    yield event
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _keep(self, name: str, line: Callable[[Any, Callable[[], None]], Awaitable[None]]) -> None:
        """Run a line for ever: whatever ends it is said, and after a pause it starts again on a new connection."""
        shortest, longest = self._backoff_ms
        pause = shortest

        def is_up() -> None:
            nonlocal pause
            pause = shortest
            self._set_down(name, "")

        while True:
            exchange = make_exchange(self._exchange_id, self._api_urls)
            try:
                await self._list_markets(exchange)
                await line(exchange, is_up)
            except Exception as error:
                self._set_down(name, self._told(error))
            finally:
                with suppress(Exception):
                    await exchange.close()
            await self._clock.sleep_ms(max(pause, retry_after_ms(exchange)))
            pause = min(2 * pause, longest)

    async def _list_markets(self, exchange: Any) -> None:
        """Share one list of markets: it is the largest answer there is, and a reconnect must not wait for it."""
        async with self._listing:
            if self._markets is None:
                await exchange.load_markets()
                self._markets = exchange
            else:
                exchange.set_markets_from_exchange(self._markets)

    async def _candle_line(self, exchange: Any, is_up: Callable[[], None]) -> None:
        while True:
            pause = await self._candles.poll(exchange)
            is_up()
            await self._clock.sleep_ms(pause)

    async def _quote_line(self, exchange: Any, is_up: Callable[[], None]) -> None:
        """Listen until the stream fails or falls silent; ccxt itself would notice silence minutes later (E24)."""
        self._heard_ms = self._clock.mono_ms()
        listening = asyncio.create_task(self._listen(exchange, is_up))
        try:
            while not listening.done():
                await self._either(listening, self._staleness_ms / 4)
                if self._clock.mono_ms() - self._heard_ms > self._staleness_ms:
                    raise _SilentError
            await listening
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)

    async def _either(self, task: asyncio.Task[None], duration_ms: float) -> None:
        timer = asyncio.ensure_future(self._clock.sleep_ms(duration_ms))
        await asyncio.wait({task, timer}, return_when=asyncio.FIRST_COMPLETED)
        timer.cancel()

    async def _listen(self, exchange: Any, is_up: Callable[[], None]) -> None:
        symbols = {symbol_of(key): key for key in self._keys}
        seen: dict[str, Any] = {}
        while True:
            await self._next_message(exchange, list(symbols))
            self._heard_ms = self._clock.mono_ms()
            for symbol, key in symbols.items():
                ticker = exchange.tickers.get(symbol)
                if ticker is not None and ticker is not seen.get(symbol):
                    seen[symbol] = ticker
                    self._take(key, ticker)
            is_up()

    async def _next_message(self, exchange: Any, symbols: list[str]) -> None:
        if exchange.has.get("watchTickers"):
            await exchange.watch_tickers(symbols)
            return
        each = [asyncio.ensure_future(exchange.watch_ticker(symbol)) for symbol in symbols]
        done, _rest = await asyncio.wait(each, return_when=asyncio.FIRST_COMPLETED)
        for task in each:
            task.cancel()
        for task in done:
            task.result()

    def _take(self, key: str, ticker: Mapping[str, Any]) -> None:
        try:
            quote = self._quote(key, ticker)
        except RuleError as broken:
            self.summary.skip(str(broken), f"{self._exchange_id}:{key}")
            return
        # the latest only: who reads slowly must not read old prices
        self._pending.pop(key, None)
        self._pending[key] = quote
        self._wake.set()

    def _quote(self, key: str, ticker: Mapping[str, Any]) -> Quote:
        ts_ms = ticker.get("timestamp")
        if not isinstance(ts_ms, int) or ts_ms <= 0:
            raise RuleError(NO_TIMESTAMP)
        if ticker.get("bid") is None or ticker.get("ask") is None:
            raise RuleError(NO_PRICE)
        bid, ask = read_number(str(ticker["bid"])), read_number(str(ticker["ask"]))
        if not (bid > 0 and ask > 0):
            raise RuleError(NOT_POSITIVE)
        return Quote(
            instrument=key, ts_ms=ts_ms, received_ms=self._clock.now_ms(), bid=bid, ask=ask, source=self.source,
            bid_qty=_size(ticker.get("bidVolume")), ask_qty=_size(ticker.get("askVolume")),
        )  # fmt: skip

    def _put(self, event: FeedEvent) -> None:
        self._pending[object()] = event
        self._wake.set()

    def _told(self, error: Exception) -> str:
        if isinstance(error, _SilentError):
            return f"{self._exchange_id} has been silent for {self._staleness_ms / 1000:g} s"
        return str(error) if isinstance(error, QuarterdeckError) else in_words(self._exchange_id, error)

    def _set_down(self, name: str, why: str) -> None:
        """Note what a line says of itself, and tell when that changes what is said of the whole."""
        if self._down[name] == why:
            return
        self._down[name] = why
        down = [f"no {each}: {reason}" for each, reason in self._down.items() if reason]
        text = "; ".join(down) or f"{self._exchange_id}: quotes and candles"
        self._put(FeedStatus(ts_ms=self._clock.now_ms(), connected=not down, text=text, source=self.source))


def _size(said: Any) -> Decimal | None:
    try:
        size = read_number(str(said))
    except RuleError:
        return None
    return size if size >= 0 else None
