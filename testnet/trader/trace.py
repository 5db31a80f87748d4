"""The ledger's view of each order, folded from its lines at the start. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from stormdesk.testnet.ledger import chain
from stormdesk.testnet.trader.strategy import Intent


@dataclass
class Trace:
    """One order's lines: whether they have the venue's order id, and whether it was UNKNOWN."""

    intent: Intent
    known: bool = False
    doubted: bool = False


@dataclass
class Traces:
    """Unfinished orders by id, the ids of all orders with an INTENT, and all noted trades."""

    unfinished: dict[str, Trace] = field(default_factory=dict)
    ids: set[str] = field(default_factory=set)
    fills: set[int] = field(default_factory=set)


def fold(records: Iterable[Mapping[str, Any]]) -> Traces:
    """Read the lines in order. Lines of later versions, of unknown kinds, or with missing keys are ignored."""
    traces = Traces()
    for record in records:
        if record["v"] > chain.VERSION:
            continue
        kind, cid = record.get("kind"), str(record.get("client_order_id", ""))
        if kind == "INTENT":
            _begin(traces, record)
        elif kind == "FILL":
            traces.fills |= {record["trade_id"]} if isinstance(record.get("trade_id"), int) else set()
        elif kind in ("REJECT", "DONE"):
            traces.unfinished.pop(cid, None)
        elif trace := traces.unfinished.get(cid):
            trace.known |= kind == "ACK" or (kind == "RESOLVED" and record.get("order_id") is not None)
            trace.doubted |= kind == "UNKNOWN"
    return traces


def _begin(traces: Traces, record: Mapping[str, Any]) -> None:
    try:
        intent = msgspec.convert(record, Intent)
    except msgspec.ValidationError:
        return
    traces.unfinished[intent.client_order_id] = Trace(intent)
    traces.ids.add(intent.client_order_id)
