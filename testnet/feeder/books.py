"""A local copy of one order book and its sequence rules. Pure.

Binance's rules: events up to the snapshot's lastUpdateId are old; the first newer one must cover lastUpdateId + 1;
from then on each event's U is the u before plus one; quantity 0 takes a level away.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum


class Step(Enum):
    """What an event did to the book."""

    APPLIED = "applied"
    OLD = "old"
    GAP = "gap"


@dataclass
class LocalBook:
    """Levels by price. Out of sync until a snapshot is loaded, and again after a gap."""

    bids: dict[Decimal, Decimal] = field(default_factory=dict)
    asks: dict[Decimal, Decimal] = field(default_factory=dict)
    last: int | None = None

    def load(self, last_update_id: int, bids: Iterable[tuple[str, str]], asks: Iterable[tuple[str, str]]) -> None:
        """Start again from a snapshot."""
        self.bids, self.asks, self.last = {}, {}, last_update_id
        _change(self.bids, bids)
        _change(self.asks, asks)

    def apply(self, first: int, last: int, bids: Iterable[tuple[str, str]], asks: Iterable[tuple[str, str]]) -> Step:
        """Apply a diff that covers update ids `first` to `last`."""
        if self.last is None or first > self.last + 1:
            self.last = None
            return Step.GAP
        if last <= self.last:
            return Step.OLD
        _change(self.bids, bids)
        _change(self.asks, asks)
        self.last = last
        return Step.APPLIED


def _change(side: dict[Decimal, Decimal], levels: Iterable[tuple[str, str]]) -> None:
    for price, qty in levels:
        if amount := Decimal(qty):
            side[Decimal(price)] = amount
        else:
            side.pop(Decimal(price), None)
