"""Which trades of one symbol are known. Pure. A symbol's trade ids have no gaps, so missing trades are known by their ids."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

Range = tuple[int, int]  # first and last id, both included


class Seen(Enum):
    """What a trade is to us."""

    NEXT = "next"  # the next one, or the very first
    GAP = "gap"  # new, and some before it are missing
    FOUND = "found"  # it was missing
    OLD = "old"


class Ranges:
    """A set of ids, as sorted ranges that are not adjacent."""

    def __init__(self, ranges: Sequence[Range] = ()) -> None:
        self.ranges: list[Range] = []
        for it in ranges:
            self.add(*it)

    def __len__(self) -> int:
        return sum(last - first + 1 for first, last in self.ranges)

    def __contains__(self, number: int) -> bool:
        return any(first <= number <= last for first, last in self.ranges)

    def add(self, first: int, last: int) -> None:
        """Add a range."""
        if self.ranges and self.ranges[-1][0] <= first <= self.ranges[-1][1] + 1:  # usually it extends the end
            self.ranges[-1] = (self.ranges[-1][0], max(self.ranges[-1][1], last))
            return
        before = [it for it in self.ranges if it[1] < first - 1]
        after = [it for it in self.ranges if it[0] > last + 1]
        touching = self.ranges[len(before) : len(self.ranges) - len(after)]
        if touching:
            first, last = min(first, touching[0][0]), max(last, touching[-1][1])
        self.ranges = [*before, (first, last), *after]

    def remove(self, first: int, last: int) -> None:
        """Remove a range, as far as it is present."""
        left: list[Range] = []
        for low, high in self.ranges:
            left += [part for part in ((low, min(high, first - 1)), (max(low, last + 1), high)) if part[0] <= part[1]]
        self.ranges = left

    def holes(self) -> list[Range]:
        """The gaps between the ranges."""
        return [(a[1] + 1, b[0] - 1) for a, b in zip(self.ranges, self.ranges[1:], strict=False)]


class Trades:
    """The trades of one symbol: the last id seen, and what is missing before it."""

    def __init__(self, known: Ranges | None = None) -> None:
        ranges = known.ranges if known else []
        self.last: int | None = ranges[-1][1] if ranges else None
        self.missing = Ranges(known.holes() if known else [])

    def see(self, trade_id: int) -> Seen:
        """Record a trade. On GAP, the ids that it skipped count as missing from now on."""
        if self.last is None or trade_id == self.last + 1:
            self.last = trade_id
            return Seen.NEXT
        if trade_id > self.last:
            self.missing.add(self.last + 1, trade_id - 1)
            self.last = trade_id
            return Seen.GAP
        if trade_id in self.missing:
            self.missing.remove(trade_id, trade_id)
            return Seen.FOUND
        return Seen.OLD

    def lose(self, trade_id: int) -> None:
        """Mark a recorded trade as missing again: it was dropped before it was published."""
        self.missing.add(trade_id, trade_id)

    def proven_absent(self, asked: int, answered: Sequence[int]) -> Ranges:
        """The ids that an answer of the venue proves not to exist: it returned these trades, in order, from the id `asked` on.

        They no longer count as missing. Ids after the last one are not decided: the answer may be full, or old.
        """
        upto = answered[-1] if answered else 0
        absent = Ranges([(max(a, asked), min(b, upto)) for a, b in self.missing.ranges if b >= asked and a <= upto])
        for trade_id in answered:
            absent.remove(trade_id, trade_id)
        for it in absent.ranges:
            self.missing.remove(*it)
        return absent
