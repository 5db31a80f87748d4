"""Faults after a request was executed: the answer is lost, late, cut, or wrong. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from stormdesk.core.values import Duration, Percent
from stormdesk.testnet.venue.faults.model import Act, Active, Asked, Break, Fault, Late, Say, Silence, override
from stormdesk.testnet.venue.faults.parameter_types import Scope

SHARE = {"help": "of the requests"}
ON = {"help": "which requests"}
POSITIONS = ("account", "openOrders")


@dataclass(frozen=True)
class DropResponse(Fault):
    """The order is placed, but its sender gets no answer."""

    name: ClassVar[str] = "drop-response"
    title: ClassVar[str] = "Accept, and never answer"

    share: Percent = field(default=Percent(30), metadata=SHARE)
    on: Scope = field(default=Scope("orders"), metadata=ON)

    @override
    def answer(self, asked: Asked, document: Any, active: Active) -> Act | None:
        return Silence() if asked.within(self.on) and active.chance(self.share) else None


@dataclass(frozen=True)
class Delay(Fault):
    """The request is executed at once; only its answer is delayed."""

    name: ClassVar[str] = "delay"
    title: ClassVar[str] = "Answer late"

    by: Duration = field(default=Duration("1s"), metadata={"help": "how late"})
    share: Percent = field(default=Percent(50), metadata=SHARE)
    on: Scope = field(default=Scope("all"), metadata=ON)

    @override
    def answer(self, asked: Asked, document: Any, active: Active) -> Act | None:
        return Late(float(self.by)) if asked.within(self.on) and active.chance(self.share) else None


@dataclass(frozen=True)
class PartialResponse(Fault):
    """The request is executed; its sender gets the headers and a part of the body, then a reset."""

    name: ClassVar[str] = "partial-response"
    title: ClassVar[str] = "Send part of the answer, then reset"

    share: Percent = field(default=Percent(30), metadata=SHARE)
    body: Percent = field(default=Percent(50), metadata={"help": "of the answer's body that is sent"})
    on: Scope = field(default=Scope("signed"), metadata=ON)

    @override
    def answer(self, asked: Asked, document: Any, active: Active) -> Act | None:
        return Break(float(self.body)) if asked.within(self.on) and active.chance(self.share) else None


@dataclass(frozen=True)
class DuplicateConfirmation(Fault):
    """The answer to a new order carries the id of the one that was confirmed before it."""

    name: ClassVar[str] = "duplicate-confirmation"
    title: ClassVar[str] = "Confirm orders with another one's id"

    share: Percent = field(default=Percent(30), metadata={"help": "of the new orders"})

    @override
    def answer(self, asked: Asked, document: Any, active: Active) -> Act | None:
        if not asked.places or not isinstance(document, dict) or "orderId" not in document:
            return None
        before = active.memory.get(asked.account)
        active.memory[asked.account] = document["orderId"]
        if before is None or not active.chance(self.share):
            return None
        return Say({**document, "orderId": before})


@dataclass(frozen=True)
class StalePositions(Fault):
    """Balances and open orders are returned as they were at the first request under the fault."""

    name: ClassVar[str] = "stale-positions"
    title: ClassVar[str] = "Answer with old balances and orders"

    @override
    def answer(self, asked: Asked, document: Any, active: Active) -> Act | None:
        if asked.method != "GET" or asked.path not in POSITIONS:
            return None
        key = asked.account, asked.path, asked.symbol
        if key not in active.memory:
            active.memory[key] = document
            return None
        return Say(active.memory[key])
