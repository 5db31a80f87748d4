"""The gap log: what was missing, since when, why, and how it was filled. Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import msgspec

from stormdesk.testnet.feeder.trades import Range, Ranges

RECENT = 100


class Gap(msgspec.Struct):
    """One line of gaps.jsonl (docs/formats/market-data.md), written when a gap opens and when it closes.

    `state` is open, healed, or lost: the venue no longer has the data. A book's `last` is 0 until a snapshot sets it.
    """

    id: int
    t: float
    symbol: str
    what: str
    first: int
    last: int
    why: str
    state: str = "open"
    how: str = ""


@dataclass
class GapLog:
    """Gaps of all symbols. `lines` are still to be written; the caller removes them."""

    open: list[Gap] = field(default_factory=list)
    recent: deque[Gap] = field(default_factory=lambda: deque(maxlen=RECENT))
    lines: list[bytes] = field(default_factory=list)
    opened: int = 0
    lost: int = 0

    def begin(self, now: float, symbol: str, what: str, ids: Range, why: str) -> None:
        """Open a gap. A book has at most one, whatever its size; adjacent trades are one gap."""
        for gap in self.open:
            if (gap.symbol, gap.what) == (symbol, what) and (
                what == "depth" or (gap.why, gap.last) == (why, ids[0] - 1)
            ):
                gap.last = ids[1]
                return
        self.opened += 1
        gap = Gap(self.opened, now, symbol, what, *ids, why)
        self.open.append(gap)
        self._tell(gap)

    def book_synced(self, now: float, symbol: str, last: int) -> None:
        """Close a book's gap: a snapshot of update id `last` replaced the missing data."""
        for gap in [gap for gap in self.open if (gap.symbol, gap.what) == (symbol, "depth")]:
            gap.last = last
            self._close(gap, now, "healed", "snapshot")

    def trades_came(self, now: float, symbol: str, missing: Ranges, absent: Ranges) -> None:
        """Close the gaps that are filled; those with an absent trade are lost."""
        self.lost += len(absent)
        for gap in [gap for gap in self.open if (gap.symbol, gap.what) == (symbol, "trades")]:
            if not _touches(gap, missing):
                self._close(gap, now, *(("lost", "") if _touches(gap, absent) else ("healed", "backfill")))

    def document(self) -> dict[str, object]:
        """GET /gaps"""
        return {"open": self.open, "recent": list(self.recent), "opened": self.opened, "lost_trades": self.lost}

    def _close(self, gap: Gap, now: float, state: str, how: str) -> None:
        self.open.remove(gap)
        gap.t, gap.state, gap.how = now, state, how
        self.recent.append(gap)
        self._tell(gap)

    def _tell(self, gap: Gap) -> None:
        self.lines.append(msgspec.json.encode(gap) + b"\n")


def _touches(gap: Gap, ranges: Ranges) -> bool:
    return any(first <= gap.last and last >= gap.first for first, last in ranges.ranges)
