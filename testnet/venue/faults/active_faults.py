"""Which faults are active, and what they decide together. Pure: time is an argument, in monotonic seconds.

A fault ends by itself at its deadline. Every decision that changes something is a hit of its fault.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import Any

from stormdesk.testnet.venue.faults.model import (
    Act,
    Active,
    Announce,
    Asked,
    Break,
    Document,
    Fault,
    Refusal,
    Refuse,
    Say,
    Silence,
    VenueAct,
)

LAST = (Refuse, Silence, Break)  # after one of these an answer is final
REMEMBER = 1000  # faults that ended


class ActiveFaults:
    """The faults of one venue. `active` is empty while there are none, so callers can skip all of this."""

    def __init__(self) -> None:
        self.active: dict[str, Active] = {}
        self.ended: deque[Active] = deque(maxlen=REMEMBER)
        self._todo: list[tuple[Active, VenueAct]] = []

    def begin(self, id_: str, fault: Fault, for_s: float, seed: int, now: float) -> Active:
        """Start a fault. A known id changes nothing."""
        if (known := self.find(id_)) is not None:
            return known
        active = self.active[id_] = Active(id_, fault, seed, for_s, now + for_s)
        self._todo += [(active, act) for act in (Announce(True), *fault.begin(active))]
        return active

    def find(self, id_: str) -> Active | None:
        """An active or ended fault."""
        return self.active.get(id_) or next((active for active in self.ended if active.id == id_), None)

    def end(self, id_: str) -> Active | None:
        """End a fault, if it is active; None for an unknown id."""
        active = self.active.pop(id_, None)
        if active is None:
            return self.find(id_)
        active.on = False
        self.ended.append(active)
        self._todo += [(active, act) for act in (*active.fault.end(active), Announce(False))]
        return active

    def turn(self, now: float) -> list[tuple[Active, VenueAct]]:
        """The venue's pending acts, in order; expired faults end here."""
        for active in list(self.active.values()):
            if now >= active.until:
                self.end(active.id)
            else:
                self._todo += [(active, act) for act in active.fault.tick(active, now)]
        todo, self._todo = self._todo, []
        return todo

    # -- hooks ---------------------------------------------------------------------------------------------------

    def refusal(self, asked: Asked, now: float) -> Refusal | None:
        """Why a request is refused before it is judged."""
        for active in self._in(now):
            if (refusal := active.fault.request(asked, active, now)) is not None:
                active.hits += 1
                return refusal
        return None

    def refuses_streams(self, now: float) -> bool:
        """Is a new connection to the WebSocket API refused?"""
        refusing = [active for active in self._in(now) if active.fault.refuses_streams()]
        for active in refusing:
            active.hits += 1
        return bool(refusing)

    def holding(self, now: float) -> bool:
        """Do requests wait now?"""
        return any(active.fault.holds() for active in self._in(now))

    def answer(self, asked: Asked, document: Any, now: float) -> list[tuple[Active, Act]]:
        """The acts on an answer; each fault sees the document of the one before."""
        acts: list[tuple[Active, Act]] = []
        for active in self._in(now):
            act = active.fault.answer(asked, document, active)
            if act is not None:
                active.hits += 1
                acts.append((active, act))
            if isinstance(act, Say):
                document = act.document
            if isinstance(act, LAST):
                break
        return acts

    def most(self, qty: Decimal, now: float) -> tuple[Decimal, Active] | None:
        """How much of a new order may trade, and the fault that limits it. It is a hit only if the order would have traded more."""
        for active in self._in(now):
            if (most := active.fault.most(qty, active)) is not None:
                return most, active
        return None

    def market(self, stream: str, document: Document, now: float) -> Sequence[Document]:
        """What is sent on a market stream."""
        return self._instead(now, document, lambda active, one: active.fault.market(stream, one, active))

    def user(self, account: str, document: Document, now: float) -> Sequence[Document]:
        """What is sent on an account's user stream."""
        return self._instead(now, document, lambda active, one: active.fault.user(account, one, active))

    def greetings(self, now: float) -> list[Document]:
        """The first messages to a new subscriber of a user stream."""
        said = [active.fault.greeting() for active in self._in(now)]
        return [document for document in said if document is not None]

    def offset_s(self, now: float) -> float:
        """By how much the clock that clients see is ahead."""
        total = 0.0
        for active in self._in(now):
            if offset_s := active.fault.offset_s():
                active.hits += 1
                total += offset_s
        return total

    def frozen(self, now: float) -> bool:
        """Does the engine stand still?"""
        freezing = [active for active in self._in(now) if active.fault.freezes]
        for active in freezing:
            active.hits += 1
        return bool(freezing)

    # -- inside --------------------------------------------------------------------------------------------------

    def _in(self, now: float) -> Iterator[Active]:
        return (active for active in list(self.active.values()) if now < active.until)

    def _instead(
        self, now: float, document: Document, decide: Callable[[Active, Document], Sequence[Document] | None]
    ) -> Sequence[Document]:
        documents: Sequence[Document] = (document,)
        for active in self._in(now):
            told: list[Document] = []
            for one in documents:
                instead = decide(active, one)
                if instead is None:
                    told.append(one)
                else:
                    active.hits += 1
                    told += instead
            documents = told
        return documents
