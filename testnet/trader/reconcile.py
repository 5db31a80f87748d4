"""Compares our books with the venue, and blocks orders while they differ.

A comparison is only valid if nothing moved during it, so it is repeated until that is so; meanwhile the strategy pauses. It is
applied completely or not at all: a failed comparison changes nothing, not even the gate.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal

from stormdesk.testnet.answers import VenueError
from stormdesk.testnet.trader import drift, sql
from stormdesk.testnet.trader.balances import Balances
from stormdesk.testnet.trader.drift import Item
from stormdesk.testnet.trader.gates.board import Board
from stormdesk.testnet.trader.metrics import Metrics
from stormdesk.testnet.trader.open_orders import Desk
from stormdesk.testnet.trader.poll import PAGE, Poller
from stormdesk.testnet.trader.states import State, from_venue
from stormdesk.testnet.trader.store import Store, StoreError
from stormdesk.testnet.trader.venue import Venue, totals

log = logging.getLogger(__name__)

GATE = "reconcile"
TRIES, PAUSE_S = 40, 0.25
TRIES_WHILE_OPEN = 4  # with the gate open, so that the strategy pauses only briefly


class UnsettledError(Exception):
    """Too much moved to compare anything, or a source did not answer. The message says which."""


class Reconciler:
    """`looking`: new orders should wait. `due_at`: monotonic time of the next comparison."""

    def __init__(
        self, desk: Desk, store: Store, venue: Venue, poller: Poller, balances: Balances, board: Board,
        note: Callable[..., None], metrics: Metrics, interval_s: float,
    ) -> None:  # fmt: skip
        self.looking = False
        self.due_at = 0.0
        self.last: dict[str, float | int] | None = None
        self._desk = desk
        self._store = store
        self._venue = venue
        self._poller = poller
        self._balances = balances
        self._board = board
        self._note = note
        self._metrics = metrics
        self._interval_s = interval_s
        self._known: set[str] = set()  # open orders of others that were reported
        self._turn = asyncio.Lock()

    def require(self, reason: str) -> None:
        """Block orders until a comparison finds no difference."""
        self._board.close(GATE, reason)
        self.due_at = 0.0

    def request(self) -> None:
        """Compare soon; orders continue meanwhile."""
        self.due_at = 0.0

    async def run(self, still: Callable[[], bool] = lambda: True) -> list[Item]:
        """Compare, and open or close the gate accordingly; `still`: whether we lead. Raises UnsettledError; then the gate is
        unchanged."""
        async with self._turn:
            self.looking = True
            try:
                items = await self._settled_look()
                if not all(
                    item.booked for item in items
                ):  # events that were still on their way are no drift: compare twice
                    items = [item for item in items if item.booked] + await self._settled_look()
            finally:
                self.looking = False
                self.due_at = time.monotonic() + (1.0 if GATE in self._board.closed else self._interval_s)
            if not still():
                raise UnsettledError("the lead went to another trader meanwhile")
            self._judge(items)
            return items

    async def accept(self, kind: str, by: str) -> list[Item]:
        """A named person accepts the venue's view: rolled back trades leave our books, or a difference of balances is added to the
        opening. Returns what was changed. Raises UnsettledError, StoreError."""
        async with self._turn:
            items = [item for item in await self._settled_look() if item.kind == kind]
            for item in items:
                if item.kind == "rollback":
                    await self._unbook(item)
                    self._note("MEND", "", what=item.what, by=by, voided=list(item.trades))
                elif item.kind == "balance":
                    await self._store.query(sql.ADJUST, (item.asset, item.amount, item.amount))
                    self._note("MEND", "", what=item.what, by=by, asset=item.asset, amount=f"{item.amount:f}")
            self.due_at = 0.0
            return items

    async def _unbook(self, item: Item) -> None:
        """First what their orders are now, then the trades: if it breaks off, the trades still call for it."""
        try:
            for (cid,) in await self._store.query(sql.OF_TRADES, (list(item.trades),)):
                order = await self._venue.query(item.symbol, origClientOrderId=cid)
                await self._store.query(sql.MEND_STATE, (from_venue(order["status"]).value, cid))
        except VenueError as error:
            raise UnsettledError(str(error)) from error
        instrument = self._desk.instruments[item.symbol]
        await self._store.query(sql.UNBOOK, (item.symbol, list(item.trades), instrument.base, instrument.quote))

    def _judge(self, items: list[Item]) -> None:
        self.last = {"ts": time.time(), "drift": len(items)}
        if not items:
            self._board.open(GATE, "a reconciliation found no difference")
            return
        summary = "; ".join(item.what for item in items[:5])
        if self._board.closed.get(GATE) != summary:
            for item in items:
                self._metrics.alarm("rollback" if item.kind == "rollback" else "drift", item.what)
        self._board.close(GATE, summary)
        self.due_at = time.monotonic() + 1.0

    async def _settled_look(self) -> list[Item]:
        for _ in range(TRIES if GATE in self._board.closed else TRIES_WHILE_OPEN):
            try:
                items = await self._look()
            except (VenueError, StoreError) as error:
                raise UnsettledError(str(error)) from error
            if items is not None:
                return items
            await asyncio.sleep(PAUSE_S)
        raise UnsettledError("orders or trades moved in the course of every look")

    async def _look(self) -> list[Item] | None:
        """What differs, or None when something moved."""
        await self._poller.once()
        await self._store.settled()
        before = self._desk.changed_at
        if self._moving():
            return None
        symbols = list(self._desk.instruments)
        # In parallel, so that there is little time for anything to move.
        open_orders, latest, account = await asyncio.gather(
            asyncio.gather(*map(self._venue.open_orders, symbols)),
            asyncio.gather(*map(self._venue.my_trades, symbols)),
            self._balances.fetch(),
        )
        items: list[Item] = []
        for symbol, trades in zip(symbols, latest, strict=True):
            ours = {row[0] for row in await self._store.query(sql.LATEST_TRADES, (symbol, PAGE))}
            items += drift.trades(symbol, ours, {trade["id"] for trade in trades}, page=PAGE)
        positions = {asset: position for asset, _, position in await self._store.query(sql.POSITIONS)}
        if self._desk.changed_at != before or self._moving():
            return None
        resting = {live.cid: live.intent.symbol for live in self._desk.live.values() if live.rests}
        doubted = {live.cid for live in self._desk.live.values() if live.state is State.UNKNOWN}
        listed = {
            order["clientOrderId"]: symbol
            for symbol, orders in zip(symbols, open_orders, strict=True)
            for order in orders
            if order["clientOrderId"] not in doubted
        }
        items += drift.orders(resting, listed, self._known)
        self._known = {cid for cid in listed if cid not in resting}
        strange, self._desk.strange = self._desk.strange, []
        items += [
            Item(
                "external_trade", f"trade {f.trade_id}: {f.side} {f.qty} {f.symbol} of {f.client_order_id}", booked=True
            )
            for f in strange
        ]
        self._desk.positions = positions
        return items + self._money(drift.balances(positions, totals(account)), positions)

    def _money(self, deltas: Mapping[str, Decimal], assets: Iterable[str]) -> list[Item]:
        for asset in assets:
            self._metrics.drift(asset, float(deltas.get(asset, 0)))
        return [
            Item("balance", f"{asset}: the venue's balance is ours {delta:+f}", asset=asset, amount=delta)
            for asset, delta in deltas.items()
        ]

    def _moving(self) -> bool:
        """Whether an answer or a write is still to come."""
        return self._store.pending > 0 or any(
            live.state is State.PENDING_NEW or live.canceling or live.booked < live.executed
            for live in self._desk.live.values()
        )
