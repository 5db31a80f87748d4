"""The feeder's I/O: follow the streams, detect silence, fetch missing data, publish, write the files."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from pathlib import Path
from random import Random

import aiohttp

from stormdesk.testnet import silence
from stormdesk.testnet.bus import Bus, BusError
from stormdesk.testnet.feeder import messages
from stormdesk.testnet.feeder.config import Config
from stormdesk.testnet.feeder.market import Market
from stormdesk.testnet.feeder.messages import MalformedError
from stormdesk.testnet.feeder.metrics import Metrics
from stormdesk.testnet.feeder.outbox import Outbox
from stormdesk.testnet.feeder.records import Heartbeat, Records
from stormdesk.testnet.resilience import Feeder

log = logging.getLogger(__name__)

CONNECT_S = 2.0
GATHER_S = 0.05  # seconds of messages that go to the bus together
LOOK_S = 0.25  # between checks of the streams' age
KEEP_S = 0.5  # between two writes of the files
MEND_S = 0.1  # between checks for missing data
GUARD = "guard"  # the folder of our host's guard, beside ours
ASKED_TO_WAIT_S = 60.0  # when the venue gives no Retry-After
TRADES = 1_000  # trades in one answer, the venue's limit

Failures = (aiohttp.ClientError, OSError, TimeoutError, MalformedError)


class Feed:
    """Follows all symbols over one connection, and publishes the messages on the bus."""

    def __init__(
        self, config: Config, timing: Feeder, records: Records, session: aiohttp.ClientSession, random: Random
    ) -> None:
        self.metrics = metrics = Metrics(config.symbols)
        self.run = max(int(time.time() * 1000), records.former_run() + 1)
        self.outbox = Outbox(self.run, timing.buffer)
        known = {symbol: records.known_trades(symbol) for symbol in config.symbols}
        self.market = Market(known, self.outbox, metrics.counts)
        self.market.left_open(time.time())
        self._config = config
        self._timing = timing
        self._records = records
        self._session = session
        self._random = random
        self._tail: set[str] = set()  # symbols whose latest trades must be fetched because the connection is new
        self._pause = timing.backoff_s[0]
        self._not_before_t = 0.0  # no requests before this time, as the venue demanded
        self._folder = Path(config.data_dir)
        gaps = self.market.gaps
        metrics.counter("dropped", "Messages dropped because the buffer was full.", lambda: self.outbox.overflow)
        metrics.counter("lost_trades", "Trades that the venue no longer has.", lambda: gaps.lost)
        metrics.counter("disk_refusals", "Failed writes of the files.", lambda: records.refusals)
        metrics.gauge("buffer_depth", "Messages waiting for the bus.", lambda: len(self.outbox))
        metrics.gauge("open_gaps", "Open gaps.", lambda: len(gaps.open))

    # -- the venue's streams -------------------------------------------------------------------------------------

    async def follow(self) -> None:
        """Stay connected until cancelled. The pause before a retry grows until a connection has worked."""
        while True:
            try:
                await self._connection()
            except Failures as error:
                log.warning("venue stream: %s: %s", type(error).__name__, error)
            self.market.disconnected(time.time())
            await asyncio.sleep(self._longer_pause())

    def _longer_pause(self) -> float:
        pause, self._pause = self._pause, min(self._pause * 2, self._timing.backoff_s[1])
        return pause * self._random.uniform(0.8, 1.0)

    async def _connection(self) -> None:
        """One connection, until it ends or falls silent."""
        url = f"{self._config.venue_ws}/stream?streams={'/'.join(messages.names(self._config.symbols))}"
        async with asyncio.timeout(CONNECT_S):
            socket = await self._session.ws_connect(
                url, timeout=aiohttp.ClientWSTimeout(ws_close=0.5), decode_text=False
            )
        connected = time.monotonic()
        self.metrics.counts.connects += 1
        self._tail = set(self._config.symbols)
        reader = asyncio.create_task(self._read(socket))
        try:
            while not reader.done():
                await asyncio.wait([reader], timeout=LOOK_S)
                self._judge(time.monotonic() - connected)
            await reader
        finally:
            reader.cancel()
            await asyncio.wait([reader])
            await socket.close()

    def _judge(self, connected_s: float) -> None:
        """Raises TimeoutError when a symbol is silent for too long: a connection may be up and never send anything."""
        stale_s = self._timing.stale_s
        quiet = [s for s in self._config.symbols if self.metrics.age_s(s) > stale_s]
        if quiet and connected_s > stale_s:
            self.metrics.counts.stale += 1
            raise TimeoutError(f"nothing about {', '.join(quiet)} for {stale_s} s")
        if not quiet and connected_s > 2 * stale_s:
            self._pause = self._timing.backoff_s[0]

    async def _read(self, socket: aiohttp.ClientWebSocketResponse[bool]) -> None:
        while True:
            message = await socket.receive()
            if message.type is aiohttp.WSMsgType.BINARY:
                self.metrics.counts.messages += 1
                self.metrics.counts.malformed += 1
            elif message.type is not aiohttp.WSMsgType.TEXT:
                raise ConnectionResetError(f"the venue closed the stream ({message.type.name})")
            elif symbol := self.market.receive(message.data, time.time()):
                self.metrics.heard[symbol] = time.monotonic()
            elif self.market.farewell:
                raise ConnectionResetError("the venue shuts down")

    # -- what is missing -----------------------------------------------------------------------------------------

    async def mend(self) -> None:
        """Fetch books that are out of sync and missing trades, while there is room for the answers.

        What an answer did not fill is fetched again after a growing pause; a Retry-After of the venue is respected.
        """
        pause = MEND_S
        while True:
            await asyncio.sleep(max(pause, self._unwanted_s()))
            if len(self.outbox) > self._timing.buffer // 2:
                continue
            try:
                closed = [await self._mend(symbol) for symbol in self._config.symbols]
            except Failures as error:
                log.warning("venue REST: %s: %s", type(error).__name__, error)
                closed = [False]
            first, longest = self._timing.backoff_s
            pause = MEND_S if all(closed) else min(max(pause * 2, first), longest)

    async def _mend(self, symbol: str) -> bool:
        """Fetch the missing data of a symbol, if any; returns whether it arrived."""
        book, trades, closed = self.market.books[symbol], self.market.trades[symbol], True
        if book.last is None and book.waiting:
            text = await self._get("depth", symbol=symbol, limit="1000")
            closed = self.market.snapshot(symbol, text, time.time())
        if before := len(trades.missing):
            await self._ask(symbol, trades.missing.ranges[0][0])  # the answer continues after the first gap
            closed = closed and len(trades.missing) < before
        if symbol in self._tail and trades.last is not None:
            while await self._ask(symbol, trades.last + 1) == TRADES:
                pass
            self._tail.discard(symbol)
        return closed

    async def _ask(self, symbol: str, first: int) -> int:
        text = await self._get("historicalTrades", symbol=symbol, fromId=str(first), limit=str(TRADES))
        return self.market.old_trades(symbol, first, text, time.time())

    async def _get(self, path: str, **query: str) -> bytes:
        url = f"{self._config.venue_rest}/api/v3/{path}"
        async with self._session.get(url, params=query, timeout=aiohttp.ClientTimeout(total=CONNECT_S)) as response:
            if response.status in (418, 429):
                said = silence.asked_s(response.headers.get("Retry-After", ""))
                wait_s = ASKED_TO_WAIT_S if said is None else said
                self._not_before_t = time.time() + wait_s
                silence.told(self._folder, wait_s)
            response.raise_for_status()
            return await response.read()

    def _unwanted_s(self) -> float:
        """For how long the venue wants no requests from this host, as it told us or our guard."""
        told = (silence.until_t(folder) for folder in (self._folder, self._folder.parent / GUARD))
        return max(self._not_before_t, *told) - time.time()

    # -- the bus and the files -----------------------------------------------------------------------------------

    async def publish(self, bus: Bus) -> None:
        """Publish the outbox until cancelled. A refused batch is published again, in the same order with the same ids."""
        counts = self.metrics.counts
        while True:
            batch = self.outbox.batch()
            if not batch:
                await asyncio.sleep(GATHER_S)
                continue
            try:
                await bus.publish(batch)
            except BusError as error:
                log.warning("bus: %s", error)
                counts.refused += 1
                await asyncio.sleep(self._timing.backoff_s[0])
                continue
            first, counts.published = not counts.published, counts.published + len(batch)
            self._records.note(self.outbox.done(), time.time())
            if first:  # killed before the next write, a feeder with no file would not know that it has a gap
                self.write()

    async def keep(self) -> None:
        """Write the files until cancelled."""
        while True:
            await asyncio.sleep(KEEP_S)
            self.write()

    def write(self) -> None:
        """Write what has been published, the gaps and the heartbeat."""
        open_gaps, published = len(self.market.gaps.open), self.metrics.counts.published
        ages, waiting = self.metrics.ages(), len(self.outbox)
        beat = Heartbeat(time.time(), os.getpid(), self.run, ages, published, waiting, open_gaps)
        self._records.write(self.market.gaps, beat)
