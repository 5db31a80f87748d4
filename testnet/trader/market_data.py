"""The trader's quotes, from the bus: each message has one effect, in the order of its key."""

from __future__ import annotations

import asyncio
import logging
import time
from decimal import Decimal

import msgspec

from stormdesk.testnet.bus import Bus, BusError
from stormdesk.testnet.bus.consumer import Envelope, Inbox
from stormdesk.testnet.trader.market import Market
from stormdesk.testnet.trader.metrics import Metrics
from stormdesk.testnet.trader.strategy import Quote

log = logging.getLogger(__name__)

READ_S = 1.0
LAG_S = 1.0  # between two checks of the lag
PAUSE_S = 0.5  # after an error


class Ticker(msgspec.Struct):
    """A bookTicker: the fields that we use, best bid and ask."""

    b: Decimal
    a: Decimal


class MarketData:
    """Reads the bus into the market."""

    def __init__(self, bus: Bus, market: Market, metrics: Metrics) -> None:
        self._bus = bus
        self._market = market
        self._beat = metrics.beat
        self._inbox = Inbox()
        self._heard = float("-inf")
        self._lag = 0
        self._looked = float("-inf")
        counts = self._inbox.counts
        metrics.gauge("bus_consumer_lag", "Published, and not yet read.", lambda: self._lag)
        metrics.counter("bus_messages", "Messages read.", lambda: counts.messages)
        metrics.counter("bus_duplicates", "Repeated messages.", lambda: counts.duplicates)
        metrics.counter("bus_fenced", "Messages of a feeder that was replaced.", lambda: counts.fenced)
        metrics.counter("bus_out_of_order", "Messages after a later one of their key.", lambda: counts.out_of_order)
        metrics.counter("bus_missed", "Messages that the feeder had to drop.", lambda: counts.missed)
        metrics.counter("bus_malformed", "Malformed messages.", lambda: counts.malformed)

    def age_s(self) -> float:
        """Seconds since the last quote. Trades that were fetched and books that were loaded again come from a venue, too, whose
        stream only repeats itself, and nothing can be priced on them."""
        return time.monotonic() - self._heard

    async def follow(self) -> None:
        """Read until cancelled."""
        while True:
            self._beat("md")
            try:
                messages = await self._bus.read(READ_S)
                for message in messages:
                    if envelope := self._inbox.take(message):
                        self._quote(envelope)
                await self._look()
            except BusError as error:
                log.warning("market data: %s", error)
                await asyncio.sleep(PAUSE_S)

    async def _look(self) -> None:
        if time.monotonic() - self._looked > LAG_S:
            self._looked = time.monotonic()
            self._lag = await self._bus.lag()

    def _quote(self, envelope: Envelope) -> None:
        if envelope.stream.endswith("@bookTicker"):
            try:
                ticker = msgspec.json.decode(envelope.data, type=Ticker)
            except msgspec.DecodeError:
                self._inbox.counts.malformed += 1
            else:
                self._heard = time.monotonic()
                self._market.hear(envelope.key, Quote(ticker.b, ticker.a), self._heard)
