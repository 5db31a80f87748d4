"""Cancel everything at the venue and check until nothing is open: the kill switch's second half. It needs only the venue, not the
lock, the database or the market data."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

from stormdesk.testnet.answers import RefusedError, VenueError
from stormdesk.testnet.trader.metrics import Metrics
from stormdesk.testnet.trader.open_orders import Desk
from stormdesk.testnet.trader.states import State
from stormdesk.testnet.trader.venue import Venue

log = logging.getLogger(__name__)

MOVING = (State.PENDING_NEW, State.UNKNOWN)  # such an order may still arrive


class Sweep:
    """`open_at_venue` is the last count, None before the first; `verified`: it was zero, and none of our orders can still
    arrive."""

    def __init__(
        self, desk: Desk, venue: Venue, symbols: Sequence[str], note: Callable[..., None], metrics: Metrics
    ) -> None:
        self.open_at_venue: int | None = None
        self.verified = False
        self._desk = desk
        self._venue = venue
        self._symbols = symbols
        self._note = note
        self._metrics = metrics
        self._began = time.monotonic()

    def start(self) -> None:
        """Start over for a new kill."""
        self.open_at_venue, self.verified, self._began = None, False, time.monotonic()

    async def once(self, verify_s: float) -> None:
        """One round: cancel open orders, then count the rest. Call it every second until it is verified."""
        moving = any(live.state in MOVING for live in self._desk.live.values())
        try:
            for symbol in self._symbols:
                await self._cancel(symbol)
            self.open_at_venue = sum([len(await self._venue.open_orders(symbol)) for symbol in self._symbols])
        except VenueError as error:
            log.warning("kill switch: %s", error)
        else:
            self.verified = not self.open_at_venue and not moving
        if not self.verified and time.monotonic() - self._began > verify_s:
            self._metrics.alarm("kill_switch_unverified", f"{self.open_at_venue} orders open after {verify_s:g} s")
            self._began = time.monotonic()

    async def _cancel(self, symbol: str) -> None:
        mine = {live.cid: live for live in self._desk.live.values() if live.rests and live.intent.symbol == symbol}
        for live in mine.values():
            if not live.canceling:
                live.canceling = True
                self._note("CANCEL", live.cid, order_id=live.order_id)
        try:
            documents = await self._venue.cancel_all(symbol)
        except RefusedError as error:
            if error.code != -2011:  # nothing is open
                raise
            documents = []
        finally:
            for live in mine.values():
                live.canceling, live.check = False, True
        for document in documents:
            ours = self._desk.live.get(document["origClientOrderId"])
            if ours is not None:
                self._desk.confirm(ours, document)
