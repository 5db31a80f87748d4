"""A new leader's recovery before it trades: reconcile ledger, database and venue.

The ledger has what was intended, the database what was about to be sent, the venue what happened. Orders that have not ended are
adopted and queried at the venue; ledger lines that a killed process did not write are written now.

A standby does that for its own ledger only where nobody else can: see Leftovers.
"""

from __future__ import annotations

import time

from stormdesk.testnet.answers import ABSENT, RefusedError
from stormdesk.testnet.ledger import Ledger
from stormdesk.testnet.trader import sql, trace
from stormdesk.testnet.trader.open_orders import Desk, Live
from stormdesk.testnet.trader.states import TERMINAL, State
from stormdesk.testnet.trader.store import Row, Store
from stormdesk.testnet.trader.strategy import Intent
from stormdesk.testnet.trader.trace import Trace
from stormdesk.testnet.trader.venue import Venue


async def take_over(desk: Desk, ledger: Ledger, store: Store, venue: Venue, instance: str) -> None:
    """Adopt everything unfinished. Raises LedgerError, StoreError or VenueError; then it can be called again."""
    desk.forget()
    desk.instruments = {instrument.name: instrument for instrument in await venue.instruments()}
    await _establish(desk, store, venue)
    desk.positions = {asset: position for asset, _, position in await store.query(sql.POSITIONS)}
    await ledger.flush()
    traces = await ledger.fold(trace.fold)
    unfinished = {row.intent.client_order_id: row for row in await store.unfinished()}
    open_traces = traces.unfinished
    ended = await store.named([cid for cid in open_traces if cid not in unfinished])
    for cid, row in unfinished.items():
        _adopt(desk, ledger, store, row, open_traces.pop(cid, None))
    for cid, left in open_traces.items():
        if cid in ended:
            _finish(ledger, ended[cid], left)
        else:
            store.record(left.intent, State.UNKNOWN, "no row for an INTENT of the ledger")
            _adopt(desk, ledger, store, Row(left.intent, State.UNKNOWN, None, left.intent.qty * 0, frozenset()), left)
    for cid, trade_id, *amounts in await store.query(sql.OWN_FILLS, (instance,)):
        if trade_id not in traces.fills and cid in traces.ids:
            desk.note_fill(cid, trade_id, *amounts)


class Leftovers:
    """INTENTs of a predecessor of this process without a row in the database: whoever leads now knows nothing of them.

    The row comes before the request, so they were never sent; the venue is asked all the same, as a row can be lost. For a
    standby that has not led: its predecessor is dead, and after `quiet_s` nothing of it can be on its way.
    """

    def __init__(self, ledger: Ledger, store: Store, venue: Venue, quiet_s: float) -> None:
        self._ledger = ledger
        self._store = store
        self._venue = venue
        self._from = time.monotonic() + quiet_s
        self._left: dict[str, Intent] | None = None

    async def look(self) -> None:
        """Ask the venue about one of them, and write that it was never sent. One that the venue has is left to the next take-over
        here. Raises LedgerError, StoreError or VenueError; then it can be called again."""
        if time.monotonic() < self._from:
            return
        if self._left is None:
            await self._ledger.flush()
            unfinished = (await self._ledger.fold(trace.fold)).unfinished
            rows = await self._store.named(list(unfinished)) if unfinished else {}
            self._left = {cid: found.intent for cid, found in unfinished.items() if cid not in rows}
        for cid, intent in list(self._left.items())[:1]:
            try:
                await self._venue.query(intent.symbol, origClientOrderId=cid)
            except RefusedError as error:
                if error.code not in ABSENT:
                    raise
                self._ledger.note("REJECT", cid, reason="never sent: its process died first, and another one leads")
            del self._left[cid]


async def _establish(desk: Desk, store: Store, venue: Venue) -> None:
    """The very first start: what the account holds now is the opening, and trades before now are not ours to book."""
    if await store.query(sql.POSITIONS):
        return
    for symbol in desk.instruments:
        last = await venue.last_trade(symbol)
        await store.query(sql.CURSOR, (symbol, last + 1))
    for asset, amount in (await venue.balances()).items():
        await store.query(sql.OPENING, (asset, amount, amount))


def _adopt(desk: Desk, ledger: Ledger, store: Store, row: Row, found: Trace | None) -> None:
    live = Live(
        row.intent, row.state, time.monotonic(), row.order_id, row.booked, row.booked, set(row.trades), check=True
    )
    live.told = found.known if found else row.order_id is not None
    live.doubted = found.doubted if found else row.state is State.UNKNOWN
    # An answer that is in the ledger is known, though the database had not heard of it yet.
    if live.state in (State.PENDING_NEW, State.UNKNOWN) and not live.doubted and not live.told:
        reason = "a restart came before the answer"
        ledger.note("UNKNOWN", live.cid, reason=reason)
        store.state(live.cid, State.UNKNOWN, reason=reason)
        live.doubted = True
    if live.state is State.PENDING_NEW:
        live.state = State.UNKNOWN
    desk.seen |= dict.fromkeys(row.trades, row.intent.symbol)
    desk.put(live)


def _finish(ledger: Ledger, row: Row, found: Trace) -> None:
    """The database knows the end of an order and the ledger does not: write the lines that are missing."""
    cid = row.intent.client_order_id
    if row.state not in TERMINAL:
        raise ValueError(f"order {cid} has not ended")
    if row.state is State.REJECTED:
        ledger.note("REJECT", cid, reason="rejected before a restart")
        return
    if not found.known:
        kind = {"state": row.state.value} if found.doubted else {}
        ledger.note("RESOLVED" if found.doubted else "ACK", cid, **kind, order_id=row.order_id)
    ledger.note("DONE", cid, state=row.state.value)
