"""One trader: its parts, its loops, and what they may do when."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from stormdesk.testnet.bus import Bus, BusError
from stormdesk.testnet.ledger import Ledger, LedgerError
from stormdesk.testnet.resilience import load
from stormdesk.testnet.trader.answers import VenueError
from stormdesk.testnet.trader.config import HOLD_S, STALE_S, Config
from stormdesk.testnet.trader.desk import Desk, Live
from stormdesk.testnet.trader.leader import Leader
from stormdesk.testnet.trader.metrics import LOOPS, Metrics
from stormdesk.testnet.trader.poll import Poller
from stormdesk.testnet.trader.recovery import take_over
from stormdesk.testnet.trader.signals import Quote, Strategy
from stormdesk.testnet.trader.snapshot import Open, Snapshot, Snapshots
from stormdesk.testnet.trader.states import TERMINAL, State
from stormdesk.testnet.trader.store import Store, StoreError
from stormdesk.testnet.trader.venue import Venue
from stormdesk.testnet.trader.watch import Watch

log = logging.getLogger(__name__)

LOOK_S = 1.0  # at the lock, the venue and the database
FIRST_LOOK_S = 0.1  # until Redis answers for the first time, and while the lock is ours but not yet the orders
ROUND_S = 0.25  # of the order loop
ASK_S = 1.0  # between two questions about one order
POLL_S = 5.0
IN_FLIGHT = 16
DRAIN_S = 6.0  # at most, when the service is stopped


class Trader:
    """Owns the loops. Trades while `blocked` is empty."""

    def __init__(
        self, config: Config, ledger: Ledger, store: Store, venue: Venue, leader: Leader, bus: Bus, metrics: Metrics
    ) -> None:
        self.config = config
        self.numbers = numbers = load(config.resilience)
        self.ledger = ledger
        self.store = store
        self.venue = venue
        self.leader = leader
        self.metrics = metrics
        self.snapshots = Snapshots(
            Path(config.data_dir) / "positions_snapshot.json", self._snapshot, numbers.snapshot.keep
        )
        self.desk = Desk(ledger, store, venue, leader, metrics, self.snapshots.moved)
        self.poller = Poller(self.desk, store, venue)
        self.epoch = 0
        self._term = 0  # the leader's term that we have taken over in; 0: none
        self._strategy: Strategy | None = None
        self._bus = bus
        self._quotes: dict[str, Quote] = {}
        self._heard = float("-inf")
        self._held_until = 0.0
        self._stopping = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._asked: dict[str, float] = {}
        metrics.gauge("trader_order_unknown", "Orders in doubt.", lambda: self._count(State.UNKNOWN))
        metrics.gauge("trader_is_leader", "1 while we may trade as leader.", lambda: float(self.leads()))
        metrics.gauge("trader_leader_epoch", "Our fencing token.", lambda: self.epoch)
        metrics.gauge("trader_snapshot_buffered", "Moves in memory.", lambda: len(self.snapshots.moves))
        metrics.gauge("trader_snapshot_flushes", "Snapshots written since the start.", lambda: self.snapshots.flushes)
        metrics.gauge(
            "trader_snapshot_failures", "Snapshots not written since the start.", lambda: self.snapshots.failures
        )
        metrics.gauge("trader_stream_age_seconds", "Of the market data.", self.stream_age_s)

    # -- what is and what may be ---------------------------------------------------------------------------------

    def leads(self) -> bool:
        """Whether the lock is ours and everything from before is taken over."""
        return self.leader.holds() and self._term == self.leader.term

    def stream_age_s(self) -> float:
        """Seconds since the last market data."""
        return time.monotonic() - self._heard

    def held(self) -> bool:
        return time.monotonic() < self._held_until

    def hold(self) -> None:
        """No new orders, and those that rest are taken back. Ends by itself after a minute."""
        self._held_until = time.monotonic() + HOLD_S

    def resume(self) -> None:
        self._held_until = 0.0

    def components(self) -> dict[str, Watch]:
        """What we need, as it is now."""
        feeder, ledger = Watch(), Watch()
        feeder.good() if self.stream_age_s() < STALE_S else feeder.bad("CONN_TIMEOUT")
        ledger.bad(self.ledger.error) if self.ledger.error else ledger.good()
        return {
            "REST_API": self.venue.watch,
            "Feeder": feeder,
            "Redis": self.leader.watch,
            "Postgres": self.store.watch,
            "Ledger": ledger,
        }

    def blocked(self) -> list[str]:
        """Why no order is tried now. A ledger that refuses is no reason: the next order finds out."""
        reasons = [
            f"{name}: {watch.error}" for name, watch in self.components().items() if name != "Ledger" and not watch.ok
        ]
        if not self.leads():
            reasons.append(f"standby: the leader is {self.leader.holder.rpartition(':')[0] or 'not known'}")
        if self.held():
            reasons.append("held")
        if self._stopping:
            reasons.append("stopping")
        if time.monotonic() < self.desk.not_before:
            reasons.append("the venue asked us to wait")
        return reasons

    def drain(self) -> dict[str, Any]:
        """What still moves; all zero while held means that every source may be read."""
        unknown = self._count(State.UNKNOWN)
        ended = [live for live in self.desk.live.values() if live.state in TERMINAL]
        unbooked = len(ended)
        in_flight = len(self.desk.live) - unknown - len(ended)
        if self.leads() and not (in_flight or unknown or unbooked) and self.poller.polled_at <= self.desk.changed_at:
            unbooked = 1  # until a poll since the last change found nothing new, there may be more
        buffered = self.ledger.buffered + self.store.pending
        return {
            "held": self.held(),
            "in_flight": in_flight,
            "unknown": unknown,
            "unbooked": unbooked,
            "buffered": buffered,
        }

    def _count(self, state: State) -> int:
        return sum(live.state is state for live in self.desk.live.values())

    # -- loops ---------------------------------------------------------------------------------------------------

    async def scan(self) -> None:
        """Give the strategy its turns."""
        interval = 1 / self.config.orders_per_s
        due = time.monotonic()
        while True:
            due = max(due + interval, time.monotonic())
            self.metrics.beat("scan")
            if not self.blocked() and self._strategy is not None and len(self._tasks) < IN_FLIGHT:
                self._signal(self._strategy)
            await asyncio.sleep(due - time.monotonic())

    def _signal(self, strategy: Strategy) -> None:
        intent = strategy.next(self._quotes)
        if intent is not None:
            self._spawn(self.desk.submit(intent))
        resting = {live.cid: live for live in self.desk.live.values() if live.rests and not live.canceling}
        # While the ledger refuses, nothing is done at the venue that it could not hold.
        chosen = strategy.cancel(list(resting)) if not self.desk.last_refusal else None
        if chosen is not None:
            self._spawn(self.desk.cancel(resting[chosen]))

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("an order's task failed", exc_info=error)

    async def orders(self) -> None:
        """Ask about orders in doubt, and take back what rests while held."""
        while True:
            self.metrics.beat("order")
            if self.leads() and self.venue.watch.ok:  # else only the probe asks, so that the first answer is noticed
                for live in list(self.desk.live.values()):
                    self._attend(live)
            await asyncio.sleep(ROUND_S)

    def _attend(self, live: Live) -> None:
        now = time.monotonic()
        if now - self._asked.get(live.cid, 0.0) < ASK_S or len(self._tasks) >= IN_FLIGHT:
            return
        if live.check or live.state is State.UNKNOWN:
            self._spawn(self.desk.ask(live))
        elif self.held() and live.rests and not live.canceling:
            self._spawn(self.desk.cancel(live))
        else:
            return
        self._asked = {cid: t for cid, t in self._asked.items() if cid in self.desk.live} | {live.cid: now}

    async def market_data(self) -> None:
        """Keep the quotes."""
        while True:
            self.metrics.beat("md")
            try:
                messages = await self._bus.read(1.0)
            except BusError as error:
                log.warning("market data: %s", error)
                await asyncio.sleep(0.5)
                continue
            for message in messages:
                self._quote(message)

    def _quote(self, message: bytes) -> None:
        document = msgspec.json.decode(message)
        self._heard = time.monotonic()
        data = document["data"]
        if document["stream"].endswith("@bookTicker"):
            self._quotes[data["s"]] = Quote(Decimal(data["b"]), Decimal(data["a"]))

    async def lead(self) -> None:
        """Keep the lock, or wait for it; take over when it is newly ours."""
        answered_at = float("inf")  # Redis, for the first time
        while True:
            since = time.monotonic() - answered_at
            await self.leader.turn(contend=since >= self.config.stand_back_s or not self.config.stand_back_s)
            if self.leader.watch.ok:
                answered_at = min(answered_at, time.monotonic())
            if self.leader.lost() and self._term:
                self._step_down()
            if self.leader.holds() and self._term != self.leader.term:
                await self._take_over()
            starting = answered_at == float("inf") or (self.leader.holds() and not self.leads())
            await asyncio.sleep(FIRST_LOOK_S if starting else LOOK_S)

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
        self.epoch, self._term = epoch, term
        self._strategy = Strategy(self.config.seed, epoch, list(self.desk.instruments.values()))
        log.info("leader: epoch %d, %d orders taken over", epoch, len(self.desk.live))

    def _step_down(self) -> None:
        log.warning("leader: no longer; %d orders are left to the next one", len(self.desk.live))
        self._term, self._strategy = 0, None
        self.desk.forget()

    async def user_stream(self) -> None:
        """Hear of executions at once; after each connect the poll finds what was missed."""
        while True:
            try:
                async for event in self.venue.reports():
                    if event is None:
                        self.poller.polled_at = 0.0
                    elif event["e"] == "executionReport" and self.leads():
                        self.desk.report(event)
            except VenueError as error:
                log.warning("%s", error)
            await asyncio.sleep(LOOK_S)

    async def poll(self) -> None:
        """Ask for trades every few seconds, and at once when some are known to be missing."""
        while True:
            quick = self.held() and self.poller.polled_at <= self.desk.changed_at
            missing = any(live.booked < live.executed for live in self.desk.live.values())
            due = self.poller.polled_at + (0.5 if quick else LOOK_S if missing else POLL_S)
            if self.leads() and self.venue.watch.ok and time.monotonic() >= due:
                try:
                    await self.poller.once()
                except (VenueError, StoreError) as error:
                    log.warning("poll: %s", error)
            await asyncio.sleep(ROUND_S)

    async def probe_venue(self) -> None:
        await self._probe(self.venue.probe)

    async def probe_store(self) -> None:
        await self._probe(lambda: self.store.query("select 1"))

    async def _probe(self, ask: Any) -> None:
        """Ask a component once a second; its watch hears the answer."""
        while True:
            with contextlib.suppress(VenueError, StoreError):
                await ask()
            await asyncio.sleep(LOOK_S)

    def loops(self) -> list[Any]:
        """Everything that runs until the service stops."""
        return [
            self.ledger.keep(), self.store.work(), self.lead(), self.market_data(), self.user_stream(), self.poll(),
            self.probe_venue(), self.probe_store(), self.orders(), self.scan(),
            self.snapshots.run(self.numbers.snapshot.interval_s),
        ]  # fmt: skip

    async def finish(self) -> None:
        """Stop ordering, let what is in flight land, write what waits; give up after some seconds."""
        self._stopping = True
        deadline = time.monotonic() + DRAIN_S
        while (self._tasks or self.drain()["buffered"]) and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        await self.snapshots.flush()

    def _snapshot(self) -> Snapshot:
        positions = {asset: f"{amount:f}" for asset, amount in self.desk.positions.items()}
        left = [live for live in self.desk.live.values() if live.state not in TERMINAL]
        return Snapshot(time.time(), self.config.instance, self.epoch, positions, [_open(live) for live in left])

    def heartbeats(self) -> dict[str, float]:
        return {loop: round(self.metrics.age_s(loop), 3) for loop in LOOPS}


def _open(live: Live) -> Open:
    intent = live.intent
    return Open(live.cid, live.order_id, intent.symbol, intent.side, f"{intent.qty:f}", live.state.value)
