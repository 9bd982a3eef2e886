"""Closed candles by REST: asked for when they are due, filled in after an outage, each given out once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from engine.clock import Clock
from engine.domain.market import Candle, Instant, Source
from engine.market.ccxt_exchange import symbol_of, timeframe_of
from engine.market.feed import FeedSummary
from engine.market.rows import BAD_TIME, HIGH_BELOW_LOW, NEGATIVE_VOLUME, NOT_POSITIVE, RuleError, read_number

_PAGE = 500
_TRIES = 5


class CandleLine:
    """The closed candles of a set of instruments, as Instants in time order.

    warm_bars: history given out first. It is warm up to the bar that had closed when we came, and so is whatever closed
    before the latest bar there can be: it fills a gap, and nothing trades on it. settle_ms: how long after a close the
    venue is asked; retry_ms: how long until it is asked again for a bar that is not there yet.
    """

    def __init__(
        self,
        keys: Sequence[str],
        interval_ms: int,
        *,
        clock: Clock,
        source: Source,
        summary: FeedSummary,
        emit: Callable[[Instant], None],
        warm_bars: int,
        settle_ms: float,
        retry_ms: float,
    ) -> None:
        self._keys, self._interval_ms, self._clock, self._source = sorted(keys), interval_ms, clock, source
        self._summary, self._emit = summary, emit
        self._warm_bars, self._settle_ms, self._retry_ms = warm_bars, settle_ms, retry_ms
        self._next_ms: dict[str, int] = {}
        self._waiting: dict[int, dict[str, Candle]] = {}
        self._warm_until_ms = self._given_ms = 0
        self._tries = 0

    async def poll(self, exchange: Any) -> float:
        """Ask for what is new and give it out; return the milliseconds until there may be more."""
        now_ms = await self._venue_now_ms(exchange)
        latest_ms = now_ms - now_ms % self._interval_ms
        if not self._next_ms:
            self._warm_until_ms = latest_ms
            self._next_ms = dict.fromkeys(self._keys, latest_ms - self._warm_bars * self._interval_ms)
        for key in self._keys:
            for candle in await self._fetch(exchange, key, now_ms):
                self._waiting.setdefault(candle.close_ms, {})[key] = candle
        self._tries += 1
        complete = len(self._waiting.get(latest_ms, ())) == len(self._keys) or self._given_ms >= latest_ms
        is_settled = complete or self._tries >= _TRIES
        self._give_out(latest_ms, with_latest=is_settled)
        if not is_settled:
            return self._retry_ms
        self._tries = 0
        return latest_ms + self._interval_ms + self._settle_ms - now_ms

    async def _venue_now_ms(self, exchange: Any) -> int:
        """Return the venue's own time: what has closed is for it to say."""
        if exchange.has.get("fetchTime"):
            return int(await exchange.fetch_time())
        return self._clock.now_ms()

    async def _fetch(self, exchange: Any, key: str, now_ms: int) -> list[Candle]:
        timeframe = timeframe_of(exchange, self._interval_ms)
        found: list[Candle] = []
        while self._next_ms[key] + self._interval_ms <= now_ms:
            since_ms = self._next_ms[key]
            rows = await exchange.fetch_ohlcv(symbol_of(key), timeframe, since_ms, _PAGE)
            # without the venue's time, only a later row proves that one is closed
            last = None if exchange.has.get("fetchTime") or not rows else rows[-1][0]
            for row in rows:
                if candle := self._candle(key, row, now_ms, last):
                    found.append(candle)
                    self._next_ms[key] = candle.close_ms
            if self._next_ms[key] == since_ms or len(rows) < _PAGE:
                break
        return found

    def _candle(self, key: str, row: Sequence[Any], now_ms: int, forming_ms: int | None) -> Candle | None:
        ts_ms = row[0]
        where = f"{self._source.name}:{key}@{ts_ms}"
        if not isinstance(ts_ms, int) or ts_ms <= 0 or ts_ms % self._interval_ms:
            self._summary.skip(BAD_TIME, where)
            return None
        if ts_ms < self._next_ms[key] or ts_ms + self._interval_ms > now_ms or ts_ms == forming_ms:
            return None
        try:
            return self._sound(key, ts_ms, row)
        except RuleError as broken:
            self._summary.skip(str(broken), where)
            return None

    def _sound(self, key: str, ts_ms: int, row: Sequence[Any]) -> Candle:
        opened, high, low, close, volume = (read_number(str(value)) for value in row[1:6])
        if not (opened > 0 and high > 0 and low > 0 and close > 0):
            raise RuleError(NOT_POSITIVE)
        if not (low <= opened <= high and low <= close <= high):
            raise RuleError(HIGH_BELOW_LOW)
        if not volume >= 0:
            raise RuleError(NEGATIVE_VOLUME)
        return Candle(key, ts_ms, self._interval_ms, opened, high, low, close, volume, self._source)

    def _give_out(self, latest_ms: int, *, with_latest: bool) -> None:
        for close_ms in sorted(self._waiting):
            if close_ms >= latest_ms and not with_latest:
                return
            by_key = self._waiting.pop(close_ms)
            candles = tuple(by_key[key] for key in sorted(by_key))
            # one that comes after its instant was given out may warm indicators up, and no more
            is_late = close_ms <= self._given_ms
            self._given_ms = max(close_ms, self._given_ms)
            self._summary.bars += len(candles)
            self._summary.last_ts_ms = candles[0].ts_ms
            if self._summary.first_ts_ms is None:
                self._summary.first_ts_ms = candles[0].ts_ms
            is_warm = is_late or close_ms < latest_ms or close_ms <= self._warm_until_ms
            self._emit(Instant(self._given_ms, candles, is_warm))
