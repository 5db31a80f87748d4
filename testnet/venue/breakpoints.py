"""Breakpoints: the venue keeps back its answer to an event, until somebody has done what he wants to do at that instant.

What is kept back is what would tell the client: the answer to its request, and the reports about that order on its user stream. The
order itself is accepted, filled or canceled, and in the journal. A breakpoint that nobody lifts ends by itself at its deadline.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from stormdesk.testnet.venue import events
from stormdesk.testnet.venue.exchange import Happening
from stormdesk.testnet.venue.record import HOUSE

KINDS: dict[str, type[events.Accepted | events.Trade | events.Canceled]] = {
    "accepted": events.Accepted, "filled": events.Trade, "canceled": events.Canceled,
}  # fmt: skip
REMEMBER = 100  # breakpoints that are over


@dataclass(eq=False)
class Breakpoint:
    """Holds the `nth` event of kind `on` from its setting on. `state`: waiting, holding, over; `by` is what ended it: request,
    deadline or shutdown. Instants are monotonic seconds."""

    id: str
    on: str
    nth: int
    until: float
    seen: int = 0
    state: str = "waiting"
    by: str = ""
    order_id: int = 0
    client_order_id: str = ""
    journal_seq: int = 0  # of the event's line
    answered: int = 0  # answers and reports that were sent after all
    come: asyncio.Event = field(default_factory=asyncio.Event)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    later: list[Callable[[], None]] = field(default_factory=list)

    def describe(self) -> dict[str, str | int]:
        """What it says of itself, in the journal and over the control port."""
        return {
            "id": self.id, "on": self.on, "nth": self.nth, "seen": self.seen, "state": self.state, "by": self.by,
            "order_id": self.order_id, "client_order_id": self.client_order_id, "journal_seq": self.journal_seq,
            "answered": self.answered,
        }  # fmt: skip


class Breakpoints:
    """The breakpoints of one venue. `note` is told each time one begins to hold, ends, and lets an answer go."""

    def __init__(self, note: Callable[[Breakpoint], None]) -> None:
        self.active: dict[str, Breakpoint] = {}
        self._ended: deque[Breakpoint] = deque(maxlen=REMEMBER)
        self._note = note

    def set(self, id_: str, on: str, nth: int, for_s: float, now: float) -> Breakpoint:
        """Set one; a known id changes nothing."""
        if (known := self.find(id_)) is not None:
            return known
        made = self.active[id_] = Breakpoint(id_, on, nth, now + for_s)
        return made

    def find(self, id_: str) -> Breakpoint | None:
        return self.active.get(id_) or next((one for one in self._ended if one.id == id_), None)

    def passed(self, happenings: Sequence[Happening]) -> Breakpoint | None:
        """These are in the journal, and nobody was told yet. Returns the breakpoint that one of them reached."""
        reached = None
        for one in [one for one in self.active.values() if one.state == "waiting"]:
            for event, order in ((happening.event, happening.order) for happening in happenings):
                if not isinstance(event, KINDS[one.on]) or order is None or order.account == HOUSE:
                    continue
                one.seen += 1
                if one.seen == one.nth:
                    one.state, one.order_id, one.client_order_id = "holding", event.order_id, event.client_order_id
                    one.journal_seq = event.seq
                    self._note(one)
                    one.come.set()
                    reached = one
                    break
        return reached

    def holding(self, order_id: int) -> Breakpoint | None:
        """The breakpoint that keeps the reports about that order back."""
        return next((one for one in self.active.values() if one.state == "holding" and one.order_id == order_id), None)

    def end(self, id_: str, by: str = "request") -> Breakpoint | None:
        """Lift one: what it kept back goes out. None for an unknown id."""
        one = self.active.pop(id_, None)
        if one is None:
            return self.find(id_)
        one.state, one.by = "over", by
        self._ended.append(one)
        self._note(one)
        one.come.set()
        one.over.set()
        later, one.later = one.later, []
        for send in later:
            send()
        return one

    def turn(self, now: float) -> None:
        """Lift those whose deadline is over."""
        for one in [one for one in self.active.values() if now >= one.until]:
            self.end(one.id, "deadline")

    def close(self) -> None:
        """Lift all: the venue shuts down."""
        for id_ in list(self.active):
            self.end(id_, "shutdown")

    async def let_go(self, one: Breakpoint) -> None:
        """Return when its answer may be sent."""
        await one.over.wait()
        one.answered += 1
        self._note(one)
