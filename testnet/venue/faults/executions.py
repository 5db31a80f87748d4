"""Faults of the engine: orders that trade less than they could, trades that are undone, orders that none of our clients sent. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import ClassVar

from stormdesk.core.values import Count, Duration, Percent
from stormdesk.testnet.venue.faults.model import Active, Fault, PlaceOrder, UndoTrades, VenueAct, override
from stormdesk.testnet.venue.faults.parameter_types import Choice


class Side(Choice):
    """Of an order."""

    NAMES = ("SELL", "BUY")


@dataclass(frozen=True)
class PartialFill(Fault):
    """What would trade beyond that part expires."""

    name: ClassVar[str] = "partial-fill"
    title: ClassVar[str] = "Fill orders in part, expire the rest"

    share: Percent = field(default=Percent(50), metadata={"help": "of the new orders"})
    filled: Percent = field(default=Percent(50), metadata={"help": "of an order's quantity that may trade"})

    @override
    def most(self, qty: Decimal, active: Active) -> Decimal | None:
        return qty * Decimal(str(float(self.filled))) / 100 if active.chance(self.share) else None


@dataclass(frozen=True)
class Rollback(Fault):
    """Immediate and permanent: open orders are canceled, the trades are void, balances are restored."""

    name: ClassVar[str] = "rollback"
    title: ClassVar[str] = "Undo the trades of the last seconds"

    last: Duration = field(default=Duration("10s"), metadata={"help": "how far back"})

    @override
    def begin(self, active: Active) -> Sequence[VenueAct]:
        return [UndoTrades(float(self.last))]


@dataclass(frozen=True)
class ExternalOrder(Fault):
    """As if somebody had used the venue's web page: a market order of the desk's account, immediate and permanent."""

    name: ClassVar[str] = "external-order"
    title: ClassVar[str] = "Trade by hand for the desk's account"

    side: Side = field(default=Side("SELL"), metadata={"help": "of the order; SELL closes a part of what is held"})
    worth: Count = field(default=Count(100), metadata={"help": "of the order, in the quote asset"})

    @override
    def begin(self, active: Active) -> Sequence[VenueAct]:
        return [PlaceOrder(str(self.side), int(self.worth))]
