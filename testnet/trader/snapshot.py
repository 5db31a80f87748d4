"""`positions_snapshot.json`: positions, open orders and the latest trades, for those who must act when neither the trader
nor PostgreSQL answers. It is a copy: nothing is ever restored from it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import msgspec

from stormdesk import durable


class Move(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One asset's position after a trade, a decimal string."""

    trade_id: int
    asset: str
    position: str


class Open(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An order that has not ended."""

    client_order_id: str
    order_id: int | None
    symbol: str
    side: str
    qty: str
    state: str


class Snapshot(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file. `t`: seconds since 1970; `moves`: since the snapshot before; `dropped` counts those that found no room in
    memory while the disk was full."""

    t: float
    instance: str
    epoch: int
    positions: dict[str, str]
    open: list[Open]
    moves: list[Move] = []
    dropped: int = 0
    v: int = 1


class Snapshots:
    """Writes the file when something changed. `take` returns the current state, `keep` is how many moves memory holds; `alarm` is
    told once when it cannot be written."""

    def __init__(self, path: Path, take: Callable[[], Snapshot], keep: int, alarm: Callable[[str], None]) -> None:
        self.moves: list[Move] = []
        self.error = ""  # why the last flush failed
        self.flushes = 0
        self.failures = 0
        self._path = path
        self._take = take
        self._keep = keep
        self._alarm = alarm
        self._dropped = 0
        self._last: Snapshot | None = None
        self._turn = asyncio.Lock()

    def moved(self, move: Move) -> None:
        """Remember a move until the next flush."""
        self.moves.append(move)
        self._bound()

    async def flush(self) -> bool:
        """Write a snapshot, unless nothing has changed. False when it could not be written: the old file stays, and the moves are
        kept for the next one."""
        async with self._turn:
            return await self._flush(self._take())

    async def run(self, interval_s: float) -> None:
        """Flush until cancelled."""
        while True:
            await asyncio.sleep(interval_s)
            await self.flush()

    async def _flush(self, now: Snapshot) -> bool:
        moves, dropped = self.moves, self._dropped
        if not moves and self._last is not None and _same(self._last, now):
            return True
        self.moves, self._dropped = [], 0
        document = msgspec.structs.replace(now, moves=moves, dropped=dropped)
        try:
            await asyncio.to_thread(durable.replace, self._path, msgspec.json.encode(document))
        except OSError as error:
            if not self.error:
                self._alarm(f"not written: {error}")
            self.error = f"{error.strerror}: {self._path}"
            self.failures += 1
            self.moves, self._dropped = moves + self.moves, dropped + self._dropped
            self._bound()
            return False
        self.error, self._last = "", now
        self.flushes += 1
        return True

    def _bound(self) -> None:
        over = max(len(self.moves) - self._keep, 0)
        del self.moves[:over]
        self._dropped += over


def _same(one: Snapshot, other: Snapshot) -> bool:
    return msgspec.structs.replace(one, t=0.0) == msgspec.structs.replace(other, t=0.0)
