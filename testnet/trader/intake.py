"""From a signal to an order: all checks before INTENT, in order. A refused signal becomes a SKIP line.

1. The strategy does not signal too often. 2. The signal is new: not in the file of the last minutes, and never in PostgreSQL.
3. Price, size, inventory and funds (gates/risk.py), with fresh balances. 4. Its turn in the throttle. 5. Then, without any wait in
between: gates, 3 again, the breaker, and the send.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from decimal import Decimal

from stormdesk.testnet.ledger import Ledger
from stormdesk.testnet.resilience import Resilience
from stormdesk.testnet.trader import sql
from stormdesk.testnet.trader.balances import Balances
from stormdesk.testnet.trader.gates import risk
from stormdesk.testnet.trader.gates.breakers import Breakers
from stormdesk.testnet.trader.gates.repeats import Repeats
from stormdesk.testnet.trader.gates.signatures import Signatures
from stormdesk.testnet.trader.ids import strategy_of
from stormdesk.testnet.trader.market import Market
from stormdesk.testnet.trader.metrics import Metrics
from stormdesk.testnet.trader.open_orders import Desk
from stormdesk.testnet.trader.sending import Sender
from stormdesk.testnet.trader.store import Store, StoreError
from stormdesk.testnet.trader.strategy import Intent
from stormdesk.testnet.trader.throttle import Throttle

DUPLICATE = "DUPLICATE_SIGNAL"


class Intake:
    """Accepts signals of our own strategy and of others. `blocked` says why an order may not be sent now."""

    def __init__(
        self, desk: Desk, ledger: Ledger, store: Store, sender: Sender, throttle: Throttle, market: Market,
        balances: Balances, signatures: Signatures, repeats: Repeats, breakers: Breakers, metrics: Metrics,
        numbers: Resilience, blocked: Callable[[Intent], list[str]],
    ) -> None:  # fmt: skip
        self._desk = desk
        self._ledger = ledger
        self._store = store
        self._sender = sender
        self._throttle = throttle
        self._market = market
        self._balances = balances
        self._signatures = signatures
        self._repeats = repeats
        self._breakers = breakers
        self._metrics = metrics
        self._numbers = numbers
        self._blocked = blocked

    async def take(self, intent: Intent) -> str:
        """ "" when the order may go on to `send`, else why it is skipped."""
        strategy = strategy_of(intent.signal)
        await self._repeats.count(strategy)
        if self._repeats.closed_for(strategy):
            return self._skip(intent, "REPEATED_EXECUTION")
        if not self._signatures.take(intent.signal):
            return self._skip(intent, DUPLICATE)
        try:
            known = bool(await self._store.query(sql.KNOWN, (intent.signal,)))
        except StoreError:
            return self._give_back(intent, "NO_DATABASE")
        if known:
            return self._skip(intent, DUPLICATE)
        if reason := self._worth_it(intent):
            return self._give_back(intent, reason)
        if self._throttle.full():
            return self._give_back(intent, "THROTTLE_QUEUE_FULL")
        return ""

    async def send(self, intent: Intent) -> None:
        """Wait for its turn, check it again, and send it."""
        async with self._throttle.turn():
            fresh = await self._balances.ensure()
            reason = "GATE_CLOSED" if self._blocked(intent) else self._worth_it(intent)
            reason = reason or self._affordable(intent, fresh=fresh)
            if not reason and not self._breakers.lets_through(intent.symbol):
                reason = "BREAKER"
            if reason:
                self._give_back(intent, reason)
            else:
                await self._sender.send(intent)

    def _worth_it(self, intent: Intent) -> str:
        """The checks without I/O."""
        instrument = self._desk.instruments[intent.symbol]
        held = self._desk.positions.get(instrument.base, Decimal(0))
        if reason := risk.inventory(intent, held, self._desk.on_sale(intent.symbol)):
            return reason
        quote = self._market.quotes(time.monotonic(), self._numbers.trader.stale_s).get(intent.symbol)
        limits = self._numbers.risk
        if reason := risk.market(intent, quote, self._market.slow(intent.symbol), limits):
            return reason
        assert quote is not None  # risk.market asks for it
        return risk.size(intent, instrument, quote, limits)

    def _affordable(self, intent: Intent, *, fresh: bool) -> str:
        instrument = self._desk.instruments[intent.symbol]
        quote = self._market.quotes(time.monotonic(), self._numbers.trader.stale_s)[intent.symbol]
        if reason := risk.means(intent, instrument, quote, self._balances.purse(fresh=fresh)):
            return reason
        if self._throttle.chatty():
            return "MAX_MESSAGES"
        if intent.side == "BUY":
            self._balances.spend(instrument.quote, risk.cost(intent, quote))
        else:
            self._balances.spend(instrument.base, intent.qty)
        return ""

    def _give_back(self, intent: Intent, reason: str) -> str:
        """The signal had no effect here, and may come again."""
        self._signatures.give_back(intent.signal)
        return self._skip(intent, reason)

    def _skip(self, intent: Intent, reason: str) -> str:
        if reason == DUPLICATE:
            self._metrics.duplicates.inc()
        self._metrics.skipped(reason)
        self._ledger.note("SKIP", "", signal=intent.signal, reason=reason)
        return reason
