"""Applies the decisions of faults to the venue as a whole: journal, user streams, rollbacks, manual orders."""

from __future__ import annotations

import time
from decimal import ROUND_UP, Decimal
from typing import TYPE_CHECKING

from stormdesk.testnet.venue import events, faults
from stormdesk.testnet.venue.errors import ApiError
from stormdesk.testnet.venue.faults.model import (
    Active,
    Announce,
    Broadcast,
    EndUserStreams,
    ExpireListenKeys,
    LoseUserStreams,
    PlaceOrder,
    Tell,
    UndoTrades,
    VenueAct,
)
from stormdesk.testnet.venue.record import NewOrder

if TYPE_CHECKING:
    from stormdesk.testnet.venue.order_entry import Desk


def perform(desk: Desk, active: Active, act: VenueAct) -> int:
    """Apply an act; returns its number of hits."""
    now = time.time()
    match act:
        case Announce():
            desk.note(
                events.Fault(
                    t=now, name=active.fault.name, on=act.on, params=faults.parameters(active.fault),
                    seed=active.seed, hits=active.hits,
                )
            )  # fmt: skip
        case Broadcast():
            return desk.users.broadcast(act.document, now)
        case Tell():
            desk.users.tell(act.account, act.document)
        case EndUserStreams():
            return desk.users.end_streams(now)
        case LoseUserStreams():
            desk.users.lose()
        case ExpireListenKeys():
            return desk.users.expire_keys(now)
        case UndoTrades():
            return _undo(desk, now - act.last_s, now)
        case PlaceOrder():
            return _place(desk, active, act)
    return 0


def _undo(desk: Desk, since: float, now: float) -> int:
    """Roll back to the line before the first client trade since then; returns the number of trades."""
    undone = [trade for made in desk.exchange.trades.values() for trade in made if trade.t >= since]
    if not undone:
        return 0
    first = min(trade.seq if trade.maker else trade.seq - 1 for trade in undone)  # the maker's side comes first
    ids = desk.exchange.rollback(first - 1, now)
    desk.commit()
    return len(ids)


def _place(desk: Desk, active: Active, act: PlaceOrder) -> int:
    """Place the order; returns 1 if it was accepted. Its client id starts like those of the venue's web page."""
    symbol = next(iter(desk.exchange.symbols.values()))
    qty = (Decimal(act.worth) / desk.exchange.reference(symbol.name)).quantize(symbol.step, ROUND_UP)
    account, cid = desk.keys.first, f"web_{active.id}"[:36]
    desk.note(events.Mark(t=time.time(), what="external-order", detail={"client_order_id": cid, "account": account}))
    try:
        desk.exchange.submit(account, NewOrder(cid, symbol, act.side, "MARKET", qty), time.time())
    except ApiError:
        return 0
    desk.commit()
    return 1
