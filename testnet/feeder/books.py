"""A local copy of one order book and its sequence rules. Pure.

Binance's rules: without a snapshot, events wait. A snapshot older than the first of them is fetched again. Events up to its
lastUpdateId are old, and the first newer one must cover lastUpdateId + 1. From then on each event's U is the previous u plus
one, else the book is resynchronised. Quantity 0 removes a level.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum
from typing import Protocol

WAITING = 1_000  # events; further ones push out the oldest, and the snapshot must then be newer

Level = tuple[Decimal, Decimal]


class Diff(Protocol):
    """A depth event: update ids `first` to `last`, and the changed levels."""

    first: int
    last: int
    bids: list[Level]
    asks: list[Level]


class Step(Enum):
    """The effect of an event on the book."""

    APPLIED = "applied"
    OLD = "old"
    GAP = "gap"  # a gap: the book is out of sync, the event waits for a snapshot
    WAITING = "waiting"  # already out of sync: it waits too


@dataclass
class LocalBook:
    """Levels by price. `last` is the update id of the levels; None: out of sync, until a snapshot fits."""

    bids: dict[Decimal, Decimal] = field(default_factory=dict)
    asks: dict[Decimal, Decimal] = field(default_factory=dict)
    last: int | None = None
    before: int | None = None  # the last update id before the book lost its sync
    waiting: deque[Diff] = field(default_factory=lambda: deque(maxlen=WAITING))

    def apply(self, diff: Diff) -> Step:
        """Apply an event, or keep it until there is a snapshot."""
        if self.last is not None:
            if diff.last <= self.last:
                return Step.OLD
            if diff.first <= self.last + 1:
                self._change(diff)
                return Step.APPLIED
            self.lose_sync()
            self.waiting.append(diff)
            return Step.GAP
        self.waiting.append(diff)
        return Step.WAITING

    def lose_sync(self) -> None:
        """Mark the book out of sync: after a gap, on a new connection, or when a published message was lost."""
        if self.last is not None:
            self.before, self.last = self.last, None
        self.waiting.clear()

    def load(self, last_update_id: int, bids: Sequence[Level], asks: Sequence[Level]) -> list[Diff] | None:
        """Resynchronise from a snapshot and apply the waiting events; returns those that were new, in order.

        None when the snapshot does not fit: it is older than the first waiting event (fetch it again), or the waiting events
        have a gap (those after it still wait).
        """
        if self.waiting and last_update_id < self.waiting[0].first - 1:
            return None
        news = [diff for diff in self.waiting if diff.last > last_update_id]
        at = last_update_id
        for i, diff in enumerate(news):
            if diff.first > at + 1:
                self.waiting = deque(news[i:], maxlen=WAITING)
                return None
            at = diff.last
        self.bids, self.asks, self.last = dict(bids), dict(asks), last_update_id
        for diff in news:
            self._change(diff)
        self.waiting.clear()
        return news

    def _change(self, diff: Diff) -> None:
        for side, levels in ((self.bids, diff.bids), (self.asks, diff.asks)):
            for price, qty in levels:
                if qty:
                    side[price] = qty
                else:
                    side.pop(price, None)
        self.last = diff.last
