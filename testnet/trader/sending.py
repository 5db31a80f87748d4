"""The only way to create an order.

INTENT durable in the ledger, then the row in PostgreSQL, then the request, once. If one step fails, the next is not
taken. Lock and gates are checked again right before the request.
"""

from __future__ import annotations

import logging
import time

from stormdesk.testnet.answers import NotSentError, RefusedError, UnclearError, VenueError
from stormdesk.testnet.ledger import Ledger, LedgerError
from stormdesk.testnet.trader.gates.board import Board
from stormdesk.testnet.trader.gates.breakers import Breakers, Outcome
from stormdesk.testnet.trader.ids import strategy_of
from stormdesk.testnet.trader.leader import Leader
from stormdesk.testnet.trader.metrics import Metrics
from stormdesk.testnet.trader.open_orders import Desk, Live
from stormdesk.testnet.trader.states import State
from stormdesk.testnet.trader.store import Store, StoreError
from stormdesk.testnet.trader.strategy import Intent
from stormdesk.testnet.trader.venue import SKEW, Venue

log = logging.getLogger(__name__)

LIMITS = (-1003, -1015)  # the venue's limits: not a failure of the symbol


class Sender:
    """Creates orders. `last_refusal` is why the ledger or the database did not accept the last one."""

    def __init__(
        self, desk: Desk, ledger: Ledger, store: Store, venue: Venue, leader: Leader, board: Board,
        breakers: Breakers, metrics: Metrics, window_s: float,
    ) -> None:  # fmt: skip
        self.last_refusal = ""
        self._desk = desk
        self._ledger = ledger
        self._store = store
        self._venue = venue
        self._leader = leader
        self._board = board
        self._breakers = breakers
        self._metrics = metrics
        self._window_s = window_s

    async def send(self, intent: Intent) -> None:
        """Send an order to the venue, or refuse it with a reason. The breaker has let it through."""
        live, started = Live(intent), time.monotonic()
        self._desk.put(live)
        outcome: Outcome = "unclear"
        try:
            if await self._may_send(live):
                outcome = await self._request(live, started)
            else:
                del self._desk.live[live.cid]
        finally:
            await self._breakers.heard(intent.symbol, outcome)

    async def _request(self, live: Live, started: float) -> Outcome:
        live.sent_at = time.monotonic()
        self._metrics.count("sent", live.intent.side)
        try:
            document = await self._venue.place(live.intent, self._lock_lasts)
        except RefusedError as error:
            unsent = isinstance(error, NotSentError)
            self._desk.reject(live, str(error), "refused" if unsent else "rejected")
            return "unclear" if unsent or error.code in (SKEW, *LIMITS) else "failed"
        except VenueError as error:
            self._desk.doubt(live, str(error))
            return "failed" if isinstance(error, UnclearError) and error.answered else "unclear"
        self._metrics.ack.observe(time.monotonic() - started)
        self._desk.confirm(live, document)
        return "good"

    async def _may_send(self, live: Live) -> bool:
        intent = live.intent
        terms = {"symbol": intent.symbol, "side": intent.side, "type": intent.type, "price": f"{intent.price:f}"}
        try:
            await self._ledger.append(
                "INTENT", live.cid, signal=intent.signal, **terms, qty=f"{intent.qty:f}", epoch=intent.epoch
            )
        except LedgerError as error:
            self._refuse(live, str(error))
            return False
        self.last_refusal = ""
        try:
            reason = "" if await self._store.insert(intent) else await self._fenced(intent)
        except StoreError as error:
            reason = f"no order row: {error}"
        if not reason and not self._lock_lasts():
            reason = "the leader lock went before the send"
        if not reason:
            reason = "; ".join(self._board.reasons(intent.symbol, strategy_of(intent.signal)))
        if reason:
            self._ledger.note("REJECT", live.cid, reason=reason)
            self._refuse(live, reason)
        return not reason

    async def _fenced(self, intent: Intent) -> str:
        """Why PostgreSQL took no row. Whoever was overtaken gives the lock back. Raises StoreError."""
        if not await self._store.superseded(intent.epoch):
            return "another order of this signal"
        await self._leader.stand_back()
        return f"fenced: epoch {intent.epoch} is not the newest"

    def _lock_lasts(self) -> bool:
        """Whether the lock is ours for as long as the venue accepts a request signed now."""
        return self._leader.holds(self._window_s)

    def _refuse(self, live: Live, reason: str) -> None:
        """Refuse it here: the venue never sees it."""
        self.last_refusal = reason
        log.warning("order %s refused: %s", live.cid, reason)
        self._metrics.count("refused", live.intent.side)
        self._store.record(live.intent, State.REJECTED, reason)
