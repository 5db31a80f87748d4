"""Keeps us below the venue's limits: orders wait in a bounded queue, and while the venue wants silence nobody speaks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from random import Random

import msgspec

from stormdesk.testnet.backoff import Backoff
from stormdesk.testnet.durable import CorruptError
from stormdesk.testnet.resilience import Resilience
from stormdesk.testnet.trader.answers import NotSentError
from stormdesk.testnet.trader.gates.files import StateFile
from stormdesk.testnet.trader.window import Window


class Silence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`runtime/venue_wait.json`: no request before this wall-clock time, not even by the next process."""

    until_t: float


class Throttle:
    """One for all requests of this process. Times are monotonic seconds."""

    def __init__(self, file: StateFile, numbers: Resilience) -> None:
        self.waiting = 0
        self._queue = numbers.throttle.queue
        self._orders = Window(10.0, numbers.throttle.orders_per_10s)
        self._weight = Window(60.0, numbers.throttle.weight_per_min)
        self._messages = Window(1.0, numbers.risk.messages_per_s)
        self._turn = asyncio.Lock()  # first come, first served
        self._silent_until = 0.0
        self._unnamed = Backoff(numbers.retry, Random())  # for a refusal that does not say for how long
        self._file = file
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
        """Whether one more order would find the queue full."""
        return self.waiting >= self._queue

    def chatty(self) -> bool:
        """Whether one more order would be one message too many."""
        return self._messages.wait_s(1, time.monotonic()) > 0

    def message(self) -> None:
        """An order or a cancel goes out."""
        self._messages.add(1, time.monotonic())

    def silent_s(self) -> float:
        """Seconds for which the venue still wants no request; 0 when it takes them."""
        return max(self._silent_until - time.monotonic(), 0.0)

    async def order(self) -> None:
        """Wait until one more order is below the limit."""
        self.waiting += 1
        try:
            async with self._turn:
                while wait := self._orders.wait_s(1, time.monotonic()):
                    await asyncio.sleep(wait)
                self._orders.add(1, time.monotonic())
        finally:
            self.waiting -= 1

    async def request(self, weight: int, *, urgent: bool) -> None:
        """Called right before each request. Urgent ones (cancels) use the distance that we keep from the limit. Raises
        NotSentError while the venue wants silence, and when there is no room within a second."""
        if wait := self.silent_s():
            raise NotSentError(f"the venue asked us to wait {wait:.1f} s more", wait)
        wait = 0.0 if urgent else self._weight.wait_s(weight, time.monotonic())
        if wait > 1.0:
            raise NotSentError(f"our own limit of request weight is reached for {wait:.1f} s", wait)
        self._weight.add(weight, time.monotonic())
        if wait:
            await asyncio.sleep(wait)

    def hear(self, headers: Mapping[str, str]) -> None:
        """The venue counts, too, and over our restarts."""
        now = time.monotonic()
        for name, window in (("X-MBX-USED-WEIGHT-1M", self._weight), ("X-MBX-ORDER-COUNT-10S", self._orders)):
            if (value := headers.get(name, "")).isdigit():
                window.at_least(int(value), now)

    async def refused(self, retry_after: str) -> float:
        """The venue answered 429 or 418: be silent for as long as it says, else for longer each time. Gives seconds."""
        wait = float(retry_after) if retry_after.isdigit() else self._unnamed.next_s()
        self._silent_until = max(self._silent_until, time.monotonic() + wait)
        await self._file.write(Silence(time.time() + self.silent_s()))
        return wait

    def accepted(self) -> None:
        """The venue takes requests again."""
        self._unnamed.reset()
