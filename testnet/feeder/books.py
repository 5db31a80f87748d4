"""A local copy of one order book and its sequence rules. Pure.

Binance's rules: while there is no snapshot, events wait; a snapshot that is older than the first of them is fetched
again; events up to its lastUpdateId are old, and the first newer one must cover lastUpdateId + 1; from then on each
event's U is the u before plus one, else the book starts again. Quantity 0 takes a level away.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum
from typing import Protocol

WAITING = 1_000  # events; more push the oldest out, and the snapshot must then be newer

Level = tuple[Decimal, Decimal]


class Diff(Protocol):
    """A depth event: update ids `first` to `last`, and the levels that they changed."""

    first: int
    last: int
    bids: list[Level]
    asks: list[Level]


class Step(Enum):
    """What an event did to the book."""

    APPLIED = "applied"
    OLD = "old"
    GAP = "gap"  # it does not follow: the book is out of sync, the event waits for a snapshot
    WAITING = "waiting"  # out of sync already: it waits too


@dataclass
class LocalBook:
    """Levels by price. `last` is the update id that the levels are of; None: out of sync, until a snapshot fits."""

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
        """What follows is not known to follow: after a gap, a new connection, or when what was published is lost."""
        if self.last is not None:
            self.before, self.last = self.last, None
        self.waiting.clear()

    def load(self, last_update_id: int, bids: Sequence[Level], asks: Sequence[Level]) -> list[Diff] | None:
        """Start again from a snapshot and apply what waited; the events that were news, in order.

        None when the snapshot does not fit: older than the first event that waits (fetch it again), or those that wait
        have a gap themselves (the ones after it still wait).
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
