"""Faults of the streams: messages that are repeated, dropped or stale, and streams that end. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, ClassVar

from stormdesk.core.values import Duration, Percent
from stormdesk.testnet.venue.faults.model import (
    Act,
    Active,
    Asked,
    Broadcast,
    Document,
    EndUserStreams,
    ExpireListenKeys,
    Fault,
    LoseUserStreams,
    Refusal,
    Refuse,
    Say,
    Tell,
    VenueAct,
    override,
)
from stormdesk.testnet.venue.faults.parameter_types import Choice, Lateness

LOST = {"e": "brokerStatus", "code": 1100, "msg": "Connectivity to the venue has been lost."}
BACK_WITHOUT_DATA = {"e": "brokerStatus", "code": 1101, "msg": "Connectivity restored, data lost: subscribe again."}
BACK_WITH_DATA = {"e": "brokerStatus", "code": 1102, "msg": "Connectivity restored, data kept."}
MARKET_PATHS = ("depth", "ticker/bookTicker", "ticker/price")


class Restored(Choice):
    """How the broker's connection comes back: 1101 or 1102."""

    NAMES = ("data-lost", "data-kept")


@dataclass(frozen=True)
class DuplicateReport(Fault):
    """The same executionReport, trade id and all, two times: in a row, or the second time so much later that it may be forgotten."""

    name: ClassVar[str] = "duplicate-report"
    title: ClassVar[str] = "Send execution reports twice"

    share: Percent = field(default=Percent(50), metadata={"help": "of the reports"})
    late: Lateness = field(default=Lateness(0), metadata={"help": "how much later the copy is sent"})

    @override
    def user(self, account: str, document: Document, active: Active) -> Sequence[Document] | None:
        again = active.memory.setdefault("again", [])
        if any(document is copy for copy in again):
            again[:] = [copy for copy in again if copy is not document]
            return (document,)  # the second time: a hit, and no reason for a third
        if document["e"] != "executionReport" or not active.chance(self.share):
            return None
        if not self.late:
            return document, document
        active.memory.setdefault("kept", deque()).append((account, document))
        return (document,)

    @override
    def tick(self, active: Active, now: float) -> Sequence[VenueAct]:
        kept, since = active.memory.setdefault("kept", deque()), active.memory.setdefault("since", deque())
        since.extend([now] * (len(kept) - len(since)))  # a report is as old as the first look after it
        due: list[VenueAct] = []
        while since and now - since[0] >= self.late:
            since.popleft()
            account, document = kept.popleft()
            active.memory.setdefault("again", []).append(document)
            due.append(Tell(account, document))
        return due


@dataclass(frozen=True)
class SkipDepth(Fault):
    """A range of update ids is never sent, so the next message does not follow the last."""

    name: ClassVar[str] = "skip-depth"
    title: ClassVar[str] = "Leave out depth updates"

    share: Percent = field(default=Percent(10), metadata={"help": "of the depth messages"})

    @override
    def market(self, stream: str, document: Document, active: Active) -> Sequence[Document] | None:
        return () if "@depth" in stream and active.chance(self.share) else None


@dataclass(frozen=True)
class StaleData(Fault):
    """Messages keep coming, but repeat the first one's content; so do the book and the prices over REST."""

    name: ClassVar[str] = "stale-data"
    title: ClassVar[str] = "Repeat old market data"

    share: Percent = field(default=Percent(100), metadata={"help": "of the messages and answers"})

    @override
    def market(self, stream: str, document: Document, active: Active) -> Sequence[Document] | None:
        old = active.memory.setdefault(stream, document)
        return (old,) if old is not document and active.chance(self.share) else None

    @override
    def answer(self, asked: Asked, document: Any, active: Active) -> Act | None:
        if asked.path not in MARKET_PATHS:
            return None
        old = active.memory.setdefault((asked.path, asked.symbol), document)
        return Say(old) if old is not document and active.chance(self.share) else None


class Wrong(Choice):
    """What is wrong with a quote: both prices far off, or the bid above the ask."""

    NAMES = ("flash", "crossed")


@dataclass(frozen=True)
class BadQuotes(Fault):
    """Best prices on the market streams that no order was ever placed at. Book and trades stay as they are."""

    name: ClassVar[str] = "bad-quotes"
    title: ClassVar[str] = "Send flash or crossed prices"

    how: Wrong = field(default=Wrong("flash"), metadata={"help": "flash: far off; crossed: the bid above the ask"})
    by: Percent = field(default=Percent(10), metadata={"help": "how far off, of the price"})
    share: Percent = field(default=Percent(50), metadata={"help": "of the quotes"})

    @override
    def market(self, stream: str, document: Document, active: Active) -> Sequence[Document] | None:
        if not stream.endswith("@bookTicker") or not active.chance(self.share):
            return None
        up = 1 + Decimal(str(float(self.by))) / 100
        bid = Decimal(document["b"]) * up
        ask = Decimal(document["a"]) * (up if self.how == "flash" else 1)
        return ({**document, "b": f"{bid:.8f}", "a": f"{ask:.8f}"},)


@dataclass(frozen=True)
class TokenExpiry(Fault):
    """eventStreamTerminated, while market data and REST continue."""

    name: ClassVar[str] = "token-expiry"
    title: ClassVar[str] = "End user streams"

    every: Duration = field(default=Duration("5s"), metadata={"help": "again after this, for those who came back"})

    @override
    def tick(self, active: Active, now: float) -> Sequence[VenueAct]:
        return [EndUserStreams()] if _due(active, now, float(self.every)) else ()


@dataclass(frozen=True)
class RefuseStreams(Fault):
    """User streams end, and new connections to the WebSocket API get 503; market data and REST continue. Each try is in the
    journal."""

    name: ClassVar[str] = "refuse-streams"
    title: ClassVar[str] = "Refuse connections for user streams"

    @override
    def refuses_streams(self) -> bool:
        return True

    @override
    def begin(self, active: Active) -> Sequence[VenueAct]:
        return [EndUserStreams()]


@dataclass(frozen=True)
class ListenKeyExpiry(Fault):
    """listenKeyExpired, for clients of the legacy user stream."""

    name: ClassVar[str] = "listen-key-expiry"
    title: ClassVar[str] = "Expire legacy listen keys"

    every: Duration = field(default=Duration("5s"), metadata={"help": "again after this, for keys made meanwhile"})

    @override
    def tick(self, active: Active, now: float) -> Sequence[VenueAct]:
        return [ExpireListenKeys()] if _due(active, now, float(self.every)) else ()


def _due(active: Active, now: float, every_s: float) -> bool:
    due = now >= active.memory.get("next", now)
    if due:
        active.memory["next"] = now + every_s
    return bool(due)


@dataclass(frozen=True)
class Persona(Fault):
    """The venue as a broker that loses its connection: 1100, and at the end 1101 or 1102. Meanwhile orders are refused, and
    events of resting ones are sent afterwards (1102) or never (1101, and the subscription is gone)."""

    name: ClassVar[str] = "persona"
    title: ClassVar[str] = "Broker persona: 1100, then 1101 or 1102"

    restored: Restored = field(default=Restored("data-lost"), metadata={"help": "1101, or 1102"})

    @override
    def begin(self, active: Active) -> Sequence[VenueAct]:
        return [Broadcast(LOST)]

    @override
    def greeting(self) -> Document | None:
        return LOST

    @override
    def request(self, asked: Asked, active: Active, now: float) -> Refusal | None:
        return Refuse(503, -1001, "Internal error; unable to process your request.") if asked.changes else None

    @override
    def user(self, account: str, document: Document, active: Active) -> Sequence[Document] | None:
        active.memory.setdefault("kept", []).append((account, document))
        return ()

    @override
    def end(self, active: Active) -> Sequence[VenueAct]:
        if self.restored == "data-lost":
            return [Broadcast(BACK_WITHOUT_DATA), LoseUserStreams()]
        return [Broadcast(BACK_WITH_DATA), *(Tell(*kept) for kept in active.memory.get("kept", ()))]
