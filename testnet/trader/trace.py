"""What the ledger says about each order, folded from its lines at start. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from stormdesk.testnet.trader.signals import Intent


@dataclass
class Trace:
    """One order's lines: whether the venue's order id is in them, whether it was UNKNOWN, whether it has ended."""

    intent: Intent
    known: bool = False
    doubted: bool = False
    ended: bool = False


@dataclass
class Traces:
    """All orders whose INTENT is here, and all trades that were noted."""

    orders: dict[str, Trace] = field(default_factory=dict)
    fills: set[int] = field(default_factory=set)

    def unfinished(self) -> list[Trace]:
        """Orders without a last line."""
        return [trace for trace in self.orders.values() if not trace.ended]


def fold(records: Iterable[Mapping[str, Any]]) -> Traces:
    """Read the lines in order. Lines of kinds that we do not know are left alone."""
    traces = Traces()
    for record in records:
        kind, cid = record.get("kind"), str(record.get("client_order_id", ""))
        if kind == "INTENT":
            traces.orders[cid] = Trace(_intent(record))
        elif kind == "FILL":
            traces.fills.add(record["trade_id"])
        elif trace := traces.orders.get(cid):
            trace.known |= kind == "ACK" or (kind == "RESOLVED" and record.get("order_id") is not None)
            trace.doubted |= kind == "UNKNOWN"
            trace.ended |= kind in ("REJECT", "DONE")
    return traces


def _intent(record: Mapping[str, Any]) -> Intent:
    return Intent(
        client_order_id=record["client_order_id"],
        signal=record["signal"],
        symbol=record["symbol"],
        side=record["side"],
        type=record["type"],
        price=Decimal(record["price"]),
        qty=Decimal(record["qty"]),
        epoch=record["epoch"],
    )
