"""The second source of trades: polling from a cursor. It finds what the user stream lost."""

from __future__ import annotations

import asyncio
import time
from decimal import Decimal
from typing import Any

from stormdesk.testnet.trader import sql
from stormdesk.testnet.trader.open_orders import Desk
from stormdesk.testnet.trader.store import Fill, Store
from stormdesk.testnet.trader.venue import Venue

PAGE = 1000


class Poller:
    """Polls trades and open orders. `polled_at` is when the last complete poll began (monotonic seconds)."""

    def __init__(self, desk: Desk, store: Store, venue: Venue) -> None:
        self.polled_at = 0.0
        self._desk = desk
        self._store = store
        self._venue = venue
        self._cursors: dict[str, int] = {}
        self._turn = asyncio.Lock()

    async def load(self) -> None:
        """Read the cursors. Raises StoreError."""
        self._cursors = dict(await self._store.query(sql.CURSORS))

    async def once(self) -> None:
        """Book every trade since the cursors, and doubt every order that the venue does not list. Raises StoreError,
        VenueError; then the cursors stand where everything before them is queued for booking."""
        async with self._turn:
            await self._once()

    async def _once(self) -> None:
        began = time.monotonic()
        for symbol in self._desk.instruments:
            resting = [live for live in self._desk.live.values() if live.rests and live.intent.symbol == symbol]
            listed = {order["clientOrderId"] for order in await self._venue.open_orders(symbol)}
            for live in resting:
                live.check |= live.rests and live.cid not in listed
            while len(trades := await self._venue.my_trades(symbol, self._cursors.get(symbol, 0))) > 0:
                await self._book(symbol, trades)
                if len(trades) < PAGE:
                    break
        self._desk.seen = {t: s for t, s in self._desk.seen.items() if t >= self._cursors.get(s, 0)}
        self.polled_at = began

    async def _book(self, symbol: str, trades: list[dict[str, Any]]) -> None:
        for trade in trades:
            if trade["id"] not in self._desk.seen:
                cid = await self._desk.client_id_of(symbol, trade["orderId"])
                self._desk.trade(_fill(trade, cid))
        self._cursors[symbol] = trades[-1]["id"] + 1
        # Queued behind the trades, so the cursor in the database never passes one that is not booked.
        self._store.later(sql.CURSOR, symbol, self._cursors[symbol])


def _fill(trade: dict[str, Any], cid: str) -> Fill:
    return Fill(
        trade["id"], cid, trade["symbol"], "BUY" if trade["isBuyer"] else "SELL", Decimal(trade["price"]),
        Decimal(trade["qty"]), Decimal(trade["quoteQty"]), Decimal(trade["commission"]), trade["commissionAsset"],
        trade["time"] / 1000,
    )  # fmt: skip
