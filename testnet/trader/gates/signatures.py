"""Recently accepted signals, in memory and in `runtime/order_sigs.json`: the fast check for repeated signals. PostgreSQL keeps all
of them."""

from __future__ import annotations

import asyncio
import logging
import time

import msgspec

from stormdesk.durable import CorruptError
from stormdesk.testnet.trader.gates.files import StateFile

log = logging.getLogger(__name__)

KEEP = 10_000  # signals; the oldest are dropped first
REST_S = 1.0  # between two writes in the background


class Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Signal to the wall-clock time at which it was accepted."""

    signals: dict[str, float]


class Signatures:
    """The signals of the last `ttl_s` seconds."""

    def __init__(self, file: StateFile, ttl_s: float) -> None:
        self._file = file
        self._ttl_s = ttl_s
        self._dirty = asyncio.Event()
        self._taken: dict[str, float] = {}
        try:
            found = file.read(Document)
        except CorruptError as error:
            log.error("signals: %s; PostgreSQL still knows them", error)
        else:
            self._taken = dict(found.signals) if found else {}

    def take(self, signal: str) -> bool:
        """Accept a signal; False when it was accepted before."""
        self._forget(time.time())
        if signal in self._taken:
            return False
        self._taken[signal] = time.time()
        self._dirty.set()
        return True

    def give_back(self, signal: str) -> None:
        """Forget a signal that had no effect: it may come again."""
        self._taken.pop(signal, None)
        self._dirty.set()

    async def flush(self) -> None:
        """Write the current state."""
        self._dirty.clear()
        await self._file.write(Document(dict(self._taken)))

    async def keep(self) -> None:
        """Write changes until cancelled, at most once a second."""
        while True:
            await self._dirty.wait()
            await self.flush()
            await asyncio.sleep(REST_S)

    def _forget(self, now: float) -> None:
        """Drop the oldest: the expired, and those above the limit. A clock that is set back keeps no signal longer."""
        while self._taken:
            signal, t = next(iter(self._taken.items()))
            if len(self._taken) < KEEP and 0 <= now - t < self._ttl_s:
                return
            del self._taken[signal]
