"""Candles and day statistics from trades. Pure. A minute without a trade has a flat candle, as at Binance."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal

from stormdesk.testnet.venue import events
from stormdesk.testnet.venue.market import ZERO

MINUTE_MS = 60_000
DAY = 1_440  # minutes
KEPT = 7 * DAY
INTERVALS = {
    "1m": 1,
    "3m": 3,
    "5m": 5,
    "15m": 15,
    "30m": 30,
    "1h": 60,
    "2h": 120,
    "4h": 240,
    "6h": 360,
    "8h": 480,
    "12h": 720,
    "1d": DAY,
}  # in minutes


@dataclass(slots=True)
class Candle:
    """The trades from `start` (ms since 1970) on; volumes in the base and the quote asset; `taken`: where the buyer was the taker."""

    start: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal = ZERO
    quote_volume: Decimal = ZERO
    taken: Decimal = ZERO
    quote_taken: Decimal = ZERO
    first_id: int = -1
    last_id: int = -1
    count: int = 0

    def add(self, later: Candle) -> None:
        """Merge a later candle into this one."""
        self.high, self.low, self.close = max(self.high, later.high), min(self.low, later.low), later.close
        self.volume += later.volume
        self.quote_volume += later.quote_volume
        self.taken += later.taken
        self.quote_taken += later.quote_taken
        self.first_id = self.first_id if self.count else later.first_id
        self.last_id = later.last_id if later.count else self.last_id
        self.count += later.count


class Candles:
    """The minutes of one symbol, from its first trade or request on."""

    def __init__(self, price: Decimal) -> None:
        self._minutes: deque[Candle] = deque(maxlen=KEPT)
        self._price = price

    def trade(self, trade: events.Trade) -> None:
        """Count a trade, by its taker's event."""
        price, qty, quote = Decimal(trade.price), Decimal(trade.qty), Decimal(trade.quote_qty)
        bought = (qty, quote) if trade.side == "BUY" else (ZERO, ZERO)
        minute = self._minute(trade.t)
        one = Candle(minute.start, price, price, price, price, qty, quote, *bought, trade.trade_id, trade.trade_id, 1)
        if minute.count:
            minute.add(one)
        else:
            self._minutes[-1] = replace(
                one, open=minute.open, high=max(minute.open, price), low=min(minute.open, price)
            )

    def last(self, minutes: int, limit: int, now: float) -> list[Candle]:
        """The latest candles of `minutes` each, oldest first."""
        self._minute(now)
        return list(self._joined(minutes))[-limit:]

    def day(self, now: float) -> Candle:
        """The last 24 hours as one candle."""
        self._minute(now)
        minutes = list(self._minutes)[-DAY:]
        whole = replace(minutes[0])
        for minute in minutes[1:]:
            whole.add(minute)
        return whole

    def mean(self, minutes: int, now: float) -> Decimal:
        """The volume-weighted average price of the last minutes; without a trade, the last price."""
        self._minute(now)
        recent = list(self._minutes)[-minutes:]
        volume = sum((minute.volume for minute in recent), ZERO)
        return sum((minute.quote_volume for minute in recent), ZERO) / volume if volume else recent[-1].close

    def _minute(self, t: float) -> Candle:
        """The candle of that instant; earlier minutes without a trade are filled in."""
        start = int(t * 1000) // MINUTE_MS * MINUTE_MS
        price = self._minutes[-1].close if self._minutes else self._price
        first = self._minutes[-1].start + MINUTE_MS if self._minutes else start
        for missing in range(max(first, start - (KEPT - 1) * MINUTE_MS), start + 1, MINUTE_MS):
            self._minutes.append(Candle(missing, price, price, price, price))
        return self._minutes[-1]

    def _joined(self, minutes: int) -> Iterator[Candle]:
        span = minutes * MINUTE_MS
        whole: Candle | None = None
        for minute in self._minutes:
            if whole and minute.start // span == whole.start // span:
                whole.add(minute)
                continue
            if whole:
                yield whole
            whole = replace(minute, start=minute.start // span * span)
        if whole:
            yield whole
