"""Faults before a request is judged: errors, limits, bans, a halt, a frozen venue, a wrong clock. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from stormdesk.core.values import Duration, Percent
from stormdesk.testnet.venue.faults.model import (
    Act,
    Active,
    Asked,
    Fault,
    Refusal,
    Refuse,
    Say,
    Throttle,
    VenueAct,
    override,
)
from stormdesk.testnet.venue.faults.parameter_types import Choice, Offset, Scope

# Binance's codes with an unknown outcome, with HTTP status and text; only -1008 says that nothing was done.
UNCLEAR = {
    "-1001": (500, "Internal error; unable to process your request. Please try again."),
    "-1006": (500, "An unexpected response was received from the message bus. Execution status unknown."),
    "-1007": (504, "Timeout waiting for response from backend server. Send status unknown; execution status unknown."),
    "-1008": (503, "Server is currently overloaded with other requests. Please try again in a few minutes."),
}


class ErrorCode(Choice):
    """One of the codes above, or any of them."""

    NAMES = ("any", *UNCLEAR)


class When(Choice):
    """Before the request is executed, after it, or either."""

    NAMES = ("either", "before", "after")


class Quiet(Choice):
    """REST's behaviour while the venue is frozen."""

    NAMES = ("silent", "500")


@dataclass(frozen=True)
class Error5xx(Fault):
    """Half of the errors come after the order was placed, so they do not tell whether it was."""

    name: ClassVar[str] = "error-5xx"
    title: ClassVar[str] = "Answer with HTTP 5xx: execution unknown"

    share: Percent = field(default=Percent(30), metadata={"help": "of the requests"})
    code: ErrorCode = field(default=ErrorCode("any"), metadata={"help": "the venue's error code"})
    when: When = field(default=When("either"), metadata={"help": "was the request done all the same?"})
    on: Scope = field(default=Scope("signed"), metadata={"help": "which requests"})

    @override
    def request(self, asked: Asked, active: Active, now: float) -> Refusal | None:
        return self._refuse(asked, active, "before", list(UNCLEAR))

    @override
    def answer(self, asked: Asked, document: Any, active: Active) -> Act | None:
        return self._refuse(asked, active, "after", [code for code in UNCLEAR if code != "-1008"])

    def _refuse(self, asked: Asked, active: Active, moment: str, codes: list[str]) -> Refuse | None:
        if self.when not in ("either", moment) or not asked.within(self.on):
            return None
        share = Percent(max(1.0, self.share / 2)) if self.when == "either" else self.share
        if not active.chance(share):
            return None
        code = active.random.choice(codes) if self.code == "any" else str(self.code)
        status, msg = UNCLEAR[code]
        return Refuse(status, int(code), msg)


class _Waiting(Fault):
    """An address that is told to wait is refused until then, and recorded as early when it comes sooner."""

    status: ClassVar[int]

    def _told(self, asked: Asked, active: Active, now: float) -> Throttle | None:
        until = active.memory.get(asked.remote, 0.0)
        return Throttle(self.status, until, early=True) if now < until else None

    def _tell(self, asked: Asked, active: Active, until: float) -> Throttle:
        active.memory[asked.remote] = until
        return Throttle(self.status, until, early=False)


@dataclass(frozen=True)
class RateLimit(_Waiting):
    """An address that is told to wait gets 429 for every earlier request."""

    name: ClassVar[str] = "rate-limit"
    title: ClassVar[str] = "Answer 429 with Retry-After"
    status: ClassVar[int] = 429

    share: Percent = field(default=Percent(10), metadata={"help": "of the requests"})
    retry_after: Duration = field(default=Duration("2s"), metadata={"help": "what Retry-After says"})

    @override
    def request(self, asked: Asked, active: Active, now: float) -> Refusal | None:
        if told := self._told(asked, active, now):
            return told
        return self._tell(asked, active, now + self.retry_after) if active.chance(self.share) else None


@dataclass(frozen=True)
class Ban(_Waiting):
    """Each address is banned once, at its first request."""

    name: ClassVar[str] = "ban"
    title: ClassVar[str] = "Ban client addresses: 418"
    status: ClassVar[int] = 418

    retry_after: Duration = field(default=Duration("5s"), metadata={"help": "how long"})

    @override
    def request(self, asked: Asked, active: Active, now: float) -> Refusal | None:
        if asked.remote not in active.memory:
            return self._tell(asked, active, now + self.retry_after)
        return self._told(asked, active, now)


@dataclass(frozen=True)
class CancelOnly(Fault):
    """Orders can only be canceled; exchangeInfo says so."""

    name: ClassVar[str] = "cancel-only"
    title: ClassVar[str] = "Halt: cancels only, no new orders"

    @override
    def request(self, asked: Asked, active: Active, now: float) -> Refusal | None:
        return Refuse(400, -1013, "Market is closed.") if asked.places else None

    @override
    def answer(self, asked: Asked, document: Any, active: Active) -> Act | None:
        if asked.path != "exchangeInfo":
            return None
        return Say({**document, "symbols": [{**symbol, "status": "CANCEL_ONLY"} for symbol in document["symbols"]]})


@dataclass(frozen=True)
class QueryLag(Fault):
    """Queries read a copy that is behind the engine: a new order does not exist there yet (-2013), and is in no list."""

    name: ClassVar[str] = "query-lag"
    title: ClassVar[str] = "Deny new orders for a while: -2013"

    by: Duration = field(default=Duration("5s"), metadata={"help": "how far behind it is"})

    @override
    def tick(self, active: Active, now: float) -> Sequence[VenueAct]:
        active.memory["now"] = now
        return ()

    @override
    def answer(self, asked: Asked, document: Any, active: Active) -> Act | None:
        now, born = active.memory.get("now", 0.0), active.memory.setdefault("born", {})
        if asked.places and isinstance(document, dict) and "orderId" in document:
            born[document["orderId"]] = now
        if asked.method != "GET" or asked.path not in ("order", "openOrders"):
            return None
        if isinstance(document, list):
            seen = [order for order in document if now - born.get(order["orderId"], -self.by) >= self.by]
            return Say(seen) if len(seen) < len(document) else None
        hidden = now - born.get(document["orderId"], -self.by) < self.by
        return Refuse(400, -2013, "Order does not exist.") if hidden else None


@dataclass(frozen=True)
class Freeze(Fault):
    """Connections stay up and pings are answered, but nothing moves: no trade, no quote, no message."""

    name: ClassVar[str] = "freeze"
    title: ClassVar[str] = "Freeze the venue with connections up"
    freezes: ClassVar[bool] = True

    rest: Quiet = field(default=Quiet("silent"), metadata={"help": "what REST does: no answer, or HTTP 500"})

    @override
    def holds(self) -> bool:
        return self.rest == "silent"

    @override
    def request(self, asked: Asked, active: Active, now: float) -> Refusal | None:
        return Refuse(500, -1000, "An unknown error occurred while processing the request.")


@dataclass(frozen=True)
class ClockOffset(Fault):
    """The clock that clients see and are judged by; the journal keeps the true time."""

    name: ClassVar[str] = "clock-offset"
    title: ClassVar[str] = "Put the venue's clock wrong: -1021"

    by: Offset = field(default=Offset("10s"), metadata={"help": "ahead, or behind with a minus sign"})

    @override
    def offset_s(self) -> float:
        return float(self.by)
