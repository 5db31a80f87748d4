"""The feeder's I/O: follow the streams, notice silence, resynchronise books, publish.

What is published is `{"stream", "t", "data"}`: the venue's own message with our wall-clock time of receipt; a book
that starts again is published as a message of type `snapshot` before the diffs that follow it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Mapping
from functools import partial
from random import Random
from typing import Any

import aiohttp
import msgspec
from prometheus_client import CollectorRegistry, Counter, Gauge

from stormdesk.testnet.bus import Bus, BusError
from stormdesk.testnet.feeder.books import LocalBook, Step
from stormdesk.testnet.resilience import Configured

log = logging.getLogger(__name__)

STALE_S = 3.0  # the venue speaks five times a second on every stream
CONNECT_S = 2.0
BACKOFF_S = (0.25, 2.0)  # first and longest pause between two connects
GATHER_S = 0.05  # messages of this long go to the bus together
QUEUE = 5000

Failures = (aiohttp.ClientError, OSError, TimeoutError, msgspec.DecodeError, KeyError)


class Config(Configured, frozen=True, forbid_unknown_fields=True):
    """docs/formats.md section 3."""

    listen: str
    data_dir: str
    pidfile: str
    venue_ws: str
    venue_rest: str
    symbols: list[str]
    redis: str
    stream: str


class Metrics:
    """The feeder's numbers."""

    def __init__(self, symbols: list[str]) -> None:
        self.registry = CollectorRegistry()
        self.messages = Counter("feeder_messages", "Messages from the venue.", registry=self.registry)
        self.published = Counter("feeder_published", "Messages put on the bus.", registry=self.registry)
        self.dropped = Counter("feeder_dropped", "Messages that found the queue full.", registry=self.registry)
        self.gaps = Counter("feeder_sequence_gaps", "Depth events that did not follow.", registry=self.registry)
        self.resyncs = Counter("feeder_resyncs", "Books started again from a snapshot.", registry=self.registry)
        self.connects = Counter("feeder_connects", "Connections to the venue.", registry=self.registry)
        self.heard = {symbol: time.monotonic() for symbol in symbols}
        age = Gauge("feeder_stream_age_seconds", "Since the last message.", ["stream"], registry=self.registry)
        for symbol in symbols:
            age.labels(symbol.lower()).set_function(partial(self.age_s, symbol))

    def age_s(self, symbol: str) -> float:
        """Seconds since the symbol was last heard of."""
        return time.monotonic() - self.heard[symbol]


class Feed:
    """Follows the venue for all symbols over one connection and fills a bounded queue; `publish` empties it."""

    def __init__(self, config: Config, session: aiohttp.ClientSession, random: Random) -> None:
        self.metrics = Metrics(config.symbols)
        self.books = {symbol: LocalBook() for symbol in config.symbols}
        self._config = config
        self._session = session
        self._random = random
        self._queue: deque[bytes] = deque(maxlen=QUEUE)
        self._filled = asyncio.Event()

    async def follow(self) -> None:
        """Stay connected, for ever."""
        pause = BACKOFF_S[0]
        while True:
            started = time.monotonic()
            try:
                await self._connection()
            except Failures as error:
                log.warning("venue stream: %s: %s", type(error).__name__, error)
            if time.monotonic() - started > 2 * STALE_S:
                pause = BACKOFF_S[0]
            await asyncio.sleep(pause * self._random.uniform(0.8, 1.0))
            pause = min(pause * 2, BACKOFF_S[1])

    async def publish(self, bus: Bus) -> None:
        """Move the queue onto the bus, for ever; while the bus is away the queue holds what it can."""
        while True:
            await self._filled.wait()
            await asyncio.sleep(GATHER_S)
            batch = list(self._queue)
            try:
                await bus.publish(batch)
            except BusError as error:
                log.warning("bus: %s", error)
                await asyncio.sleep(BACKOFF_S[0])
                continue
            self.metrics.published.inc(len(batch))
            for message in batch:
                if self._queue and self._queue[0] is message:  # else the full queue has pushed it out meanwhile
                    self._queue.popleft()
            if not self._queue:
                self._filled.clear()

    async def _connection(self) -> None:
        """One connection, until it ends or falls silent."""
        names = [f"{s.lower()}@{kind}" for s in self._config.symbols for kind in ("depth@100ms", "trade", "bookTicker")]
        url = f"{self._config.venue_ws}/stream?streams={'/'.join(names)}"
        async with asyncio.timeout(CONNECT_S):
            socket = await self._session.ws_connect(url, timeout=aiohttp.ClientWSTimeout(ws_close=0.5))
        self.metrics.connects.inc()
        for book in self.books.values():
            book.last = None
        connected = time.monotonic()
        async with socket:
            while True:
                message = await socket.receive(timeout=STALE_S)
                if message.type is not aiohttp.WSMsgType.TEXT:
                    raise ConnectionResetError(f"the venue closed the stream ({message.type.name})")
                await self._handle(message.data)
                quiet = [s for s in self._config.symbols if self.metrics.age_s(s) > STALE_S]
                if quiet and time.monotonic() - connected > STALE_S:
                    raise TimeoutError(f"nothing about {', '.join(quiet)} for {STALE_S} s")

    async def _handle(self, text: str) -> None:
        self.metrics.messages.inc()
        message = msgspec.json.decode(text)
        data = message["data"]
        self.metrics.heard[data["s"]] = time.monotonic()
        if data.get("e") == "depthUpdate" and not await self._in_order(data):
            return
        self._enqueue(message["stream"], data)

    async def _in_order(self, data: Mapping[str, Any]) -> bool:
        """Apply a depth event to the local book; True when it is news. A gap starts the book again."""
        book = self.books[data["s"]]
        synced = book.last is not None
        step = book.apply(data["U"], data["u"], data["b"], data["a"])
        if step is Step.GAP:
            if synced:
                self.metrics.gaps.inc()
            await self._resync(data["s"])
            step = book.apply(data["U"], data["u"], data["b"], data["a"])
        return step is Step.APPLIED

    async def _resync(self, symbol: str) -> None:
        url = f"{self._config.venue_rest}/api/v3/depth"
        query = {"symbol": symbol, "limit": "1000"}
        async with self._session.get(url, params=query, timeout=aiohttp.ClientTimeout(total=CONNECT_S)) as response:
            response.raise_for_status()
            snapshot = msgspec.json.decode(await response.read())
        self.books[symbol].load(snapshot["lastUpdateId"], snapshot["bids"], snapshot["asks"])
        self.metrics.resyncs.inc()
        self._enqueue(f"{symbol.lower()}@depth@100ms", {"e": "snapshot", "s": symbol, **snapshot})

    def _enqueue(self, stream: str, data: Mapping[str, Any]) -> None:
        if len(self._queue) == QUEUE:
            self.metrics.dropped.inc()
        self._queue.append(msgspec.json.encode({"stream": stream, "t": time.time(), "data": data}))
        self._filled.set()
