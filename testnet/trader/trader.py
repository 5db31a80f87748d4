"""One trader: its parts, when it may trade, and how it takes the lead. loops.py runs it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine
from functools import partial
from pathlib import Path
from typing import Any

from stormdesk.testnet.answers import VenueError
from stormdesk.testnet.bus import Bus
from stormdesk.testnet.ledger import Ledger, LedgerError
from stormdesk.testnet.resilience import Resilience
from stormdesk.testnet.trader.balances import Balances
from stormdesk.testnet.trader.config import Config
from stormdesk.testnet.trader.controls import Controls
from stormdesk.testnet.trader.gates.breaker import LEVEL
from stormdesk.testnet.trader.ids import strategy_of
from stormdesk.testnet.trader.intake import Intake
from stormdesk.testnet.trader.leader import Leader
from stormdesk.testnet.trader.market import Market
from stormdesk.testnet.trader.market_data import MarketData
from stormdesk.testnet.trader.metrics import LOOPS, Metrics
from stormdesk.testnet.trader.open_orders import Desk, Live
from stormdesk.testnet.trader.poll import Poller
from stormdesk.testnet.trader.reconcile import GATE as RECONCILE
from stormdesk.testnet.trader.reconcile import Reconciler
from stormdesk.testnet.trader.recovery import Leftovers, take_over
from stormdesk.testnet.trader.sending import Sender
from stormdesk.testnet.trader.snapshot import Open, Snapshot, Snapshots
from stormdesk.testnet.trader.states import TERMINAL, State
from stormdesk.testnet.trader.store import Store, StoreError
from stormdesk.testnet.trader.strategy import Intent, Strategy
from stormdesk.testnet.trader.sweep import Sweep
from stormdesk.testnet.trader.venue import Venue
from stormdesk.testnet.watch import Watch

log = logging.getLogger(__name__)

IN_FLIGHT = 16


class Trader:
    """Trades while `blocked` is empty."""

    def __init__(
        self, config: Config, numbers: Resilience, ledger: Ledger, store: Store, venue: Venue, leader: Leader, bus: Bus,
        metrics: Metrics,
    ) -> None:  # fmt: skip
        self.config = config
        self.numbers = numbers
        self.ledger = ledger
        self.store = store
        self.venue = venue
        self.leader = leader
        self.metrics = metrics
        self.market = Market()
        self.market_data = MarketData(bus, self.market, metrics)
        self.controls = Controls(config, numbers, ledger.note)
        self.snapshots = Snapshots(
            Path(config.data_dir) / "positions_snapshot.json", self._snapshot, numbers.snapshot.keep, partial(metrics.alarm, "snapshot")
        )  # fmt: skip
        self.desk = Desk(ledger, store, venue, metrics, numbers.order, self.snapshots.moved)
        self.poller = Poller(self.desk, store, venue)
        self.balances = Balances(self.desk, venue, metrics, numbers.balance)
        self.sweep = Sweep(self.desk, venue, config.symbols, ledger.note, metrics)
        self._wire_orders()
        self._leftovers = Leftovers(ledger, store, venue, numbers.order.quiet_s)
        self.epoch = 0
        self.strategy: Strategy | None = None
        self.tasks: set[asyncio.Task[None]] = set()
        self.user_stream = Watch()
        self._term = 0  # the term in which we have taken over; 0: none
        self._held_until = 0.0
        self._stopping = False
        self._show()

    def _wire_orders(self) -> None:
        """An order's way: taken in, sent, reconciled."""
        numbers, controls, ledger, metrics = self.numbers, self.controls, self.ledger, self.metrics
        self.sender = Sender(
            self.desk, ledger, self.store, self.venue, self.leader, controls.board, controls.breakers, metrics,
            numbers.order.recv_window_ms / 1000,
        )  # fmt: skip
        self.intake = Intake(
            self.desk, ledger, self.store, self.sender, self.venue.throttle, self.market, self.balances, controls.signatures,
            controls.repeats, controls.breakers, metrics, numbers, self.blocked_for,
        )  # fmt: skip
        self.reconciler = Reconciler(
            self.desk, self.store, self.venue, self.poller, self.balances, controls.board, ledger.note, metrics,
            numbers.reconcile.interval_s,
        )  # fmt: skip

    # -- what is and what may be ---------------------------------------------------------------------------------

    def leads(self) -> bool:
        """Whether the lock is ours and the recovery is complete."""
        return self.leader.holds() and self._term == self.leader.term

    def stream_age_s(self) -> float:
        """Seconds since the last market data."""
        return self.market_data.age_s()

    def held(self) -> bool:
        return time.monotonic() < self._held_until

    def hold(self) -> None:
        """Hold: no new orders, and resting ones are canceled. Ends by itself after a minute."""
        self._held_until = time.monotonic() + self.numbers.trader.hold_s

    def resume(self) -> None:
        self._held_until = 0.0

    def slow_ms(self) -> float:
        """The venue's recent p95 if it is too slow to trade, else 0."""
        p95 = self.venue.watch.p95_ms(time.monotonic() - self.numbers.degraded.window_s)
        return p95 if p95 > self.numbers.degraded.rest_ms else 0.0

    def components(self) -> dict[str, Watch]:
        """Our dependencies, as they are now."""
        feeder, ledger, rest = Watch(), Watch(), self.venue.watch
        feeder.good() if self.stream_age_s() < self.numbers.trader.stale_s else feeder.bad("CONN_TIMEOUT")
        ledger.bad(self.ledger.error) if self.ledger.error else ledger.good()
        if rest.ok and (slow := self.slow_ms()):
            rest = Watch(False, f"SLOW: p95 {slow:.0f} ms", rest.latencies)
        return {
            "REST_API": rest,
            "Feeder": feeder,
            "Redis": self.leader.watch,
            "Postgres": self.store.watch,
            "Ledger": ledger,
        }

    def blocked(self, symbol: str = "", strategy: str = "") -> list[str]:
        """Why no order (of that symbol, of that strategy) is attempted now. A failing ledger is no reason: the next order will
        find out."""
        reasons = [
            f"{name}: {watch.error}" for name, watch in self.components().items() if name != "Ledger" and not watch.ok
        ]
        if not self.leads():
            reasons.append(f"standby: the leader is {self.leader.holder.rpartition(':')[0] or 'not known'}")
        if self.held():
            reasons.append("held")
        if self._stopping:
            reasons.append("stopping")
        if wait := self.venue.throttle.silent_s():
            reasons.append(f"the venue asked us to wait {wait:.1f} s more")
        return reasons + self.controls.board.reasons(symbol, strategy)

    def blocked_for(self, intent: Intent) -> list[str]:
        """Why this order is not sent now. An order of a past epoch is never sent."""
        old = [f"its epoch {intent.epoch} has passed"] if intent.epoch != self.epoch else []
        return old + self.blocked(intent.symbol, strategy_of(intent.signal))

    def drain(self) -> dict[str, Any]:
        """What is still in progress; if all are zero while held, every source may be read."""
        unknown = self._count(State.UNKNOWN)
        ended = [live for live in self.desk.live.values() if live.state in TERMINAL]
        unbooked = len(ended)
        in_flight = len(self.desk.live) - unknown - len(ended)
        if self.leads() and not (in_flight or unknown or unbooked) and self.poller.polled_at <= self.desk.changed_at:
            unbooked = 1  # there may be more until a poll after the last change found nothing new
        buffered = self.ledger.buffered + self.store.pending
        return {
            "held": self.held(),
            "in_flight": in_flight,
            "unknown": unknown,
            "unbooked": unbooked,
            "buffered": buffered,
        }

    def heartbeats(self) -> dict[str, float]:
        return {loop: round(self.metrics.age_s(loop), 3) for loop in LOOPS}

    # -- orders --------------------------------------------------------------------------------------------------

    async def offer(self, intent: Intent) -> str:
        """Accept a signal; its order continues in the background. Returns why it is skipped, or ""."""
        reason = await self.intake.take(intent)
        if not reason:
            self.spawn(self.intake.send(intent))
        return reason

    def spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        """Start background work that ends by itself."""
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self._ended)

    def busy(self) -> bool:
        """Whether enough orders are under way; those that wait for their turn do not count."""
        return len(self.tasks) - self.venue.throttle.waiting >= IN_FLIGHT

    def _ended(self, task: asyncio.Task[None]) -> None:
        self.tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("an order's task failed", exc_info=error)

    async def finish(self) -> None:
        """Stop ordering, wait for orders in flight, write what waits; give up after some seconds."""
        self._stopping = True
        deadline = time.monotonic() + self.numbers.trader.drain_s
        while (self.tasks or self.drain()["buffered"]) and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        await self.controls.signatures.flush()
        await self.snapshots.flush()

    # -- leading -------------------------------------------------------------------------------------------------

    async def look_at_lead(self) -> None:
        """Take over when the lock is newly ours, step down when it is another's."""
        if self.leader.lost() and self._term:
            log.warning("leader: no longer; %d orders are left to the next one", len(self.desk.live))
            self._term, self.strategy = 0, None
            self.desk.forget()
            self.controls.board.open(RECONCILE, "no longer leader")
        if self.leader.holds() and self._term != self.leader.term:
            await self._take_over()
        elif not self.leader.term:
            await self._tidy()

    async def _tidy(self) -> None:
        """As a standby that has never led: what a predecessor left in our ledger."""
        try:
            await self._leftovers.look()
        except (LedgerError, StoreError, VenueError) as error:
            log.info("standby: leftovers cannot be settled yet: %s", error)

    async def _take_over(self) -> None:
        term = self.leader.term
        try:
            await self.store.prepare()
            epoch = await self.store.grant()
            await self.store.settled()
            await take_over(self.desk, self.ledger, self.store, self.venue, self.config.instance)
            await self.poller.load()
        except (LedgerError, StoreError, VenueError) as error:
            log.warning("leader: cannot take over yet: %s", error)
            return
        self.controls.board.restate(self.controls.gates())
        self.reconciler.require("not reconciled since the lead was taken over")
        self.epoch, self._term = epoch, term
        self.strategy = Strategy(self.config.seed, epoch, list(self.desk.instruments.values()))
        log.info("leader: epoch %d, %d orders taken over", epoch, len(self.desk.live))

    # -- inside --------------------------------------------------------------------------------------------------

    def _count(self, state: State) -> int:
        return sum(live.state is state for live in self.desk.live.values())

    def _snapshot(self) -> Snapshot:
        positions = {asset: f"{amount:f}" for asset, amount in self.desk.positions.items()}
        left = [live for live in self.desk.live.values() if live.state not in TERMINAL]
        return Snapshot(time.time(), self.config.instance, self.epoch, positions, [_open(live) for live in left])

    def _show(self) -> None:
        """The gauges that are collected from our parts."""
        throttle, gauge = self.venue.throttle, self.metrics.gauge
        gauge("trader_order_unknown", "Orders in doubt.", lambda: self._count(State.UNKNOWN))
        gauge("trader_is_leader", "1 while we may trade as leader.", lambda: float(self.leads()))
        gauge("trader_leader_epoch", "Our fencing token.", lambda: self.epoch)
        gauge("trader_stream_age_seconds", "Of the market data.", self.stream_age_s)
        gauge("trader_throttle_queue_depth", "Orders that wait for their turn.", lambda: throttle.waiting)
        gauge("trader_venue_used_weight", "Request weight of the last minute.", lambda: throttle.used_weight)
        gauge("trader_balance_age_seconds", "Since the balances were fetched.", self.balances.age_s)
        snapshots = self.snapshots
        gauge("trader_snapshot_buffered", "Moves in memory.", lambda: len(snapshots.moves))
        gauge("trader_snapshot_flushes", "Snapshots written since the start.", lambda: snapshots.flushes)
        gauge("trader_snapshot_failures", "Snapshots not written since the start.", lambda: snapshots.failures)
        kill = self.controls.kill_switch
        gauge("trader_kill_switch_active", "1 while no order may be sent.", lambda: float(kill.state.active))
        circuits = self.controls.breakers.all
        levels = {symbol: (lambda s=symbol: LEVEL[circuits[s].circuit]) for symbol in circuits}
        for name in ("trader_breaker_state", "trader_circuit_state"):
            self.metrics.gauges(name, "0 closed, 1 half open, 2 open.", "symbol", levels)


def _open(live: Live) -> Open:
    intent = live.intent
    return Open(live.cid, live.order_id, intent.symbol, intent.side, f"{intent.qty:f}", live.state.value)
