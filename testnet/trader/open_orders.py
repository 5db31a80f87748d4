"""All orders that have not ended: events, queries and booking. sending.py creates them.

Rules:
1. An order whose request has no clear answer is UNKNOWN. It is queried by its client id and never sent again. If it is absent
   longer than `quiet_s` after its send, it was never accepted.
2. A trade is booked once, by its trade id, in one statement with its positions. It may be reported twice, or late.
3. An order leaves memory when it has ended and all its trades are booked.
4. A trade of an order that is not ours still moves our positions: it is booked, and reported as drift.
5. One venue order id belongs to one client order id. If a second one claims it, both are queried.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from typing import Any

from stormdesk.testnet.answers import ABSENT, RefusedError, VenueError
from stormdesk.testnet.ledger import Ledger
from stormdesk.testnet.resilience import Order
from stormdesk.testnet.trader import sql
from stormdesk.testnet.trader.ids import PREFIX
from stormdesk.testnet.trader.metrics import Metrics
from stormdesk.testnet.trader.snapshot import Move
from stormdesk.testnet.trader.states import TERMINAL, State, advance, from_venue
from stormdesk.testnet.trader.store import Fill, Rows, Store
from stormdesk.testnet.trader.strategy import Instrument, Intent
from stormdesk.testnet.trader.venue import Venue

log = logging.getLogger(__name__)

ZERO = Decimal(0)
DONE = {State.FILLED: "filled", State.CANCELED: "canceled", State.EXPIRED: "canceled"}
REMEMBER = 2_000  # order ids of ended orders: of eight minutes at four a second


@dataclass(slots=True)
class Live:
    """An order in memory. `sent_at` is monotonic seconds; `told`: the ledger has the venue's order id; `check`: the venue must
    be queried about it."""

    intent: Intent
    state: State = State.PENDING_NEW
    sent_at: float = 0.0
    order_id: int | None = None
    executed: Decimal = ZERO
    booked: Decimal = ZERO
    trades: set[int] = field(default_factory=set)
    told: bool = False
    doubted: bool = False
    check: bool = False
    canceling: bool = False
    gone: bool = False  # the venue had accepted it and no longer knows it

    @property
    def cid(self) -> str:
        return self.intent.client_order_id

    @property
    def rests(self) -> bool:
        """Whether it rests at the venue, as far as we know."""
        return self.state in (State.NEW, State.PARTIALLY_FILLED)


class Desk:
    """Orders in flight, resting, in doubt, or ended but not booked. `positions` are as booked; `strange` are trades of
    orders that are not ours, until a reconciliation has reported them; `traded_ms` is the venue's time of the latest
    trade."""

    def __init__(
        self, ledger: Ledger, store: Store, venue: Venue, metrics: Metrics, numbers: Order,
        moved: Callable[[Move], None],
    ) -> None:  # fmt: skip
        self.live: dict[str, Live] = {}
        self.instruments: dict[str, Instrument] = {}
        self.positions: dict[str, Decimal] = {}
        self.strange: list[Fill] = []
        self.fills = 0
        self.traded_ms = 0
        self.changed_at = time.monotonic()
        self.seen: dict[int, str] = {}  # trade id to symbol
        self._by_id: dict[int, str] = {}
        self._ledger = ledger
        self._store = store
        self._venue = venue
        self._metrics = metrics
        self._moved = moved
        self._quiet_s = numbers.quiet_s

    # -- results of requests -------------------------------------------------------------------------------------

    def reject(self, live: Live, reason: str, word: str = "rejected") -> None:
        """The venue refused it, or provably never accepted it; or it was never sent (`word` "refused")."""
        live.state = advance(live.state, State.REJECTED)
        if live.state is not State.REJECTED:
            live.check = True  # the streams report it as alive: query it
            return
        self._ledger.note("REJECT", live.cid, reason=reason)
        self._store.state(live.cid, State.REJECTED, reason=reason)
        self._metrics.count(word, live.intent.side)
        self._drop(live)

    def doubt(self, live: Live, reason: str) -> None:
        """Its fate is unknown."""
        if live.state is not State.PENDING_NEW:
            live.check = True
            return
        log.warning("order %s is UNKNOWN: %s", live.cid, reason)
        live.state, live.doubted, live.check = State.UNKNOWN, True, True
        self._ledger.note("UNKNOWN", live.cid, reason=reason)
        self._store.state(live.cid, State.UNKNOWN, reason=reason)
        self._metrics.count("unknown", live.intent.side)

    # -- events of orders and trades -----------------------------------------------------------------------------

    def observe(self, live: Live, status: str, order_id: int, executed: Decimal) -> None:
        """Process the venue's state of an order, from any source and however often."""
        if not self._is_of(order_id, live.cid):
            self.doubt(live, f"its order id {order_id} is another order's")
            return
        before = live.state
        live.state = advance(before, from_venue(status))
        live.executed = max(live.executed, executed)
        if live.order_id is None:
            self._metrics.count("accepted", live.intent.side)
        live.order_id = order_id
        if not live.told:
            live.told = True
            if live.doubted:
                self._ledger.note("RESOLVED", live.cid, state=live.state.value, order_id=order_id)
            else:
                self._ledger.note("ACK", live.cid, order_id=order_id)
        if live.state is not before:
            self.changed_at = time.monotonic()
            self._store.state(live.cid, live.state, order_id)
            if live.state in DONE:
                self._ledger.note("DONE", live.cid, state=live.state.value)
                self._metrics.count(DONE[live.state], live.intent.side)
        self._leave_if_done(live)

    def confirm(self, live: Live, document: Mapping[str, Any]) -> None:
        """An answer of the venue about an order."""
        self.observe(live, document["status"], document["orderId"], Decimal(document["executedQty"]))

    def _is_of(self, order_id: int, cid: str) -> bool:
        """Whether a venue order id is that order's. If it is another's, both are queried."""
        known = self._by_id.setdefault(order_id, cid)
        if known != cid:
            self._metrics.alarm("duplicate_confirmation", f"order id {order_id} of {known} is given for {cid}, too")
            for live in filter(None, (self.live.get(known), self.live.get(cid))):
                live.check = True
        return known == cid

    def trade(self, fill: Fill) -> None:
        """Book a trade, unless it is already known."""
        if fill.trade_id in self.seen:
            return
        self.seen[fill.trade_id] = fill.symbol
        self.changed_at = time.monotonic()
        self.fills += 1
        self.traded_ms = max(self.traded_ms, int(fill.t * 1000))
        if not fill.client_order_id.startswith(PREFIX):
            self.strange.append(fill)
        instrument = self.instruments[fill.symbol]
        values = (
            fill.trade_id, fill.client_order_id, fill.symbol, fill.side, fill.price, fill.qty, fill.quote_qty,
            fill.fee, fill.fee_asset, fill.t,
        )  # fmt: skip
        moves = fill.moves(instrument.base, instrument.quote)
        self._store.later(sql.BOOK, *values, *moves, then=partial(self._booked, fill))

    def _booked(self, fill: Fill, positions: Rows) -> None:
        for asset, amount in positions:
            self.positions[asset] = amount
            self._moved(Move(fill.trade_id, asset, f"{amount:f}"))
            self._metrics.position(asset, float(amount))
        if positions:
            self.note_fill(fill.client_order_id, fill.trade_id, fill.qty, fill.price, fill.fee, fill.fee_asset)
        live = self.live.get(fill.client_order_id)
        if live is None or fill.trade_id in live.trades:
            return
        live.trades.add(fill.trade_id)
        live.booked += fill.qty
        live.executed = max(live.executed, live.booked)
        if live.order_id is not None and live.booked == live.intent.qty:
            self.observe(live, "FILLED", live.order_id, live.booked)
        self._leave_if_done(live)

    def note_fill(self, cid: str, trade_id: int, qty: Decimal, price: Decimal, fee: Decimal, asset: str) -> None:
        """Write a booked trade into the ledger."""
        amounts = {"qty": f"{qty:f}", "price": f"{price:f}", "fee": f"{fee:f}"}
        self._ledger.note("FILL", cid, trade_id=trade_id, **amounts, fee_asset=asset)

    def report(self, event: Mapping[str, Any]) -> None:
        """An executionReport of the user stream."""
        cid = event["C"] or event["c"]  # of a cancel, `c` is the cancel's own id
        live = self.live.get(cid)
        if not self._is_of(event["i"], cid):
            return
        if live is not None:
            self.observe(live, event["X"], event["i"], Decimal(event["z"]))
        if event["x"] == "TRADE":
            self.trade(
                Fill(
                    event["t"], cid, event["s"], event["S"], Decimal(event["L"]), Decimal(event["l"]),
                    Decimal(event["Y"]), Decimal(event["n"]), event["N"], event["T"] / 1000,
                )
            )  # fmt: skip

    # -- queries and cancels -------------------------------------------------------------------------------------

    async def ask(self, live: Live) -> None:
        """Query one order at the venue. Without an answer it is queried again later."""
        asked_at = time.monotonic()
        try:
            document = await self._venue.query(live.intent.symbol, origClientOrderId=live.cid)
        except RefusedError as error:
            if error.code in ABSENT and live.order_id is None and asked_at - live.sent_at > self._quiet_s:
                self._ledger.note("RESOLVED", live.cid, state=State.REJECTED.value, order_id=None)
                self.reject(live, f"never accepted: absent at the venue {asked_at - live.sent_at:.1f} s after the send")
            elif error.code in ABSENT and live.order_id is not None and asked_at - live.sent_at > self._quiet_s:
                if not live.gone:
                    self._metrics.alarm("order_gone", f"order {live.cid} was accepted as {live.order_id}")
                live.gone = True
        except VenueError as error:
            log.warning("order %s: no answer about it: %s", live.cid, error)
        else:
            live.check = live.gone = False
            self.confirm(live, document)

    async def cancel(self, live: Live) -> None:
        """Cancel an order. Whatever the result, the venue's state of the order counts."""
        live.canceling = True
        self._ledger.note("CANCEL", live.cid, order_id=live.order_id)
        try:
            document = await self._venue.cancel(live.intent.symbol, live.cid)
        except VenueError:
            live.check = True
        else:
            self.confirm(live, document)
        finally:
            live.canceling = False

    async def client_id_of(self, symbol: str, order_id: int) -> str:
        """Whose trade it is: from memory, the database, or the venue. Raises StoreError, VenueError."""
        if order_id not in self._by_id:
            rows = await self._store.query(sql.WHOSE, (order_id,))
            found = rows[0][0] if rows else (await self._venue.query(symbol, orderId=order_id))["clientOrderId"]
            self._by_id[order_id] = found
        return self._by_id[order_id]

    # -- memory --------------------------------------------------------------------------------------------------

    def put(self, live: Live) -> None:
        """Add an order, new or recovered."""
        self.live[live.cid] = live
        self.changed_at = time.monotonic()
        if live.order_id is not None:
            self._by_id[live.order_id] = live.cid

    def forget(self) -> None:
        """Drop all orders: another leader has them now."""
        self.live.clear()
        self.seen.clear()

    def on_sale(self, symbol: str) -> Decimal:
        """How much of a symbol's base asset our open orders may still sell."""
        mine = (live for live in self.live.values() if (live.intent.symbol, live.intent.side) == (symbol, "SELL"))
        return sum((live.intent.qty - live.booked for live in mine), ZERO)

    def _leave_if_done(self, live: Live) -> None:
        if live.state in TERMINAL and live.booked >= live.executed:
            self._drop(live)

    def _drop(self, live: Live) -> None:
        self.live.pop(live.cid, None)
        self.changed_at = time.monotonic()
        while len(self._by_id) > REMEMBER:
            del self._by_id[next(iter(self._by_id))]
