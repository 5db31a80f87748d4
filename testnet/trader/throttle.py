"""Keeps us below the venue's limits: orders wait in a bounded queue, and nothing is sent while the venue demands a pause."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

from stormdesk.durable import CorruptError
from stormdesk.testnet import silence
from stormdesk.testnet.answers import NotSentError
from stormdesk.testnet.backoff import Backoff
from stormdesk.testnet.resilience import Resilience
from stormdesk.testnet.silence import Silence
from stormdesk.testnet.trader.gates.files import StateFile
from stormdesk.testnet.trader.window import SlidingWindow

LOOK_S = 0.02  # while only turns that are not over are in the way


class Throttle:
    """One throttle for all requests of this process. Times are monotonic seconds. `guard` is the folder of our host's guard: the
    venue counts by address, so what it has told the guard applies to us."""

    def __init__(self, file: StateFile, numbers: Resilience, guard: Path | None = None) -> None:
        self.waiting = 0
        self._turns = 0  # orders whose turn it is
        self._queue = numbers.throttle.queue
        self._orders = SlidingWindow(10.0, numbers.throttle.orders_per_10s)
        self._weight = SlidingWindow(60.0, numbers.throttle.weight_per_min)
        self._messages = SlidingWindow(1.0, numbers.risk.messages_per_s)
        self._turn = asyncio.Lock()  # first come, first served
        self._silent_until = 0.0
        self._unnamed = Backoff(numbers.retry, Random())  # for a refusal without Retry-After
        self._file = file
        self._guard = guard
        try:
            found = file.read(Silence)
        except CorruptError:
            found = None
        if found is not None:
            self._silent_until = time.monotonic() + found.until_t - time.time()

    @property
    def used_weight(self) -> int:
        return self._weight.used(time.monotonic())

    def full(self) -> bool:
        """Whether the queue is full."""
        return self.waiting >= self._queue

    def chatty(self) -> bool:
        """Whether one more order would exceed the message limit."""
        return self._messages.wait_s(1, time.monotonic()) > 0

    def message(self, *, places: bool) -> None:
        """Count an order or a cancel that is sent."""
        now = time.monotonic()
        self._messages.add(1, now)
        if places:
            self._orders.add(1, now)

    def silent_s(self) -> float:
        """Seconds for which the venue still wants no requests; 0 when it accepts them."""
        theirs = silence.until_t(self._guard) - time.time() if self._guard else 0.0
        return max(self._silent_until - time.monotonic(), theirs, 0.0)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait until one more order is below the limit. An order counts from its send; its room is reserved until its turn is
        over."""
        self.waiting += 1
        try:
            async with self._turn:
                while self._orders.used(time.monotonic()) + self._turns >= self._orders.limit:
                    await asyncio.sleep(max(self._orders.wait_s(1 + self._turns, time.monotonic()), LOOK_S))
                self._turns += 1
        finally:
            self.waiting -= 1
        try:
            yield
        finally:
            self._turns -= 1

    async def request(self, weight: int, *, urgent: bool) -> None:
        """Called right before each request. Urgent ones (cancels) may use the reserve below the limit. Raises NotSentError while
        the venue demands a pause, and when there is no room within a second."""
        if wait := self.silent_s():
            raise NotSentError(f"the venue asked us to wait {wait:.1f} s more", wait)
        wait = 0.0 if urgent else self._weight.wait_s(weight, time.monotonic())
        if wait > 1.0:
            raise NotSentError(f"our own limit of request weight is reached for {wait:.1f} s", wait)
        self._weight.add(weight, time.monotonic())
        if wait:
            await asyncio.sleep(wait)

    def hear(self, headers: Mapping[str, str]) -> None:
        """Take over the venue's own count, which survives our restarts."""
        now = time.monotonic()
        for name, window in (("X-MBX-USED-WEIGHT-1M", self._weight), ("X-MBX-ORDER-COUNT-10S", self._orders)):
            if (value := headers.get(name, "")).isdigit():
                window.at_least(int(value), now)

    async def refused(self, retry_after: str) -> float:
        """The venue answered 429 or 418: pause for as long as it says, else longer each time. Returns the seconds."""
        said = silence.asked_s(retry_after)
        wait = self._unnamed.next_s() if said is None else said
        self._silent_until = max(self._silent_until, time.monotonic() + wait)
        await self._file.write(Silence(time.time() + self.silent_s()))
        return wait

    def accepted(self) -> None:
        """The venue accepts requests again."""
        self._unnamed.reset()
