"""The trader's loops: each runs until cancelled, waits for no other loop, and survives failures of its peer."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Coroutine
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from stormdesk import durable
from stormdesk.testnet.answers import VenueError
from stormdesk.testnet.backoff import Backoff
from stormdesk.testnet.trader.ids import strategy_of
from stormdesk.testnet.trader.open_orders import Live
from stormdesk.testnet.trader.reconcile import UnsettledError
from stormdesk.testnet.trader.states import State
from stormdesk.testnet.trader.store import StoreError
from stormdesk.testnet.trader.strategy import Strategy
from stormdesk.testnet.trader.trader import Trader

log = logging.getLogger(__name__)

LOOK_S = 1.0  # at the lock, the venue and the database
FIRST_LOOK_S = 0.1  # until Redis first answers, and while we have the lock but have not taken over the orders
ROUND_S = 0.25  # of the order loop
ASK_S = 1.0  # between two queries of one order
POLL_S = 5.0
BROKER = "broker"
CONNECTED, LINE_LOST, DATA_LOST = 0, 1100, 1101  # 1102: the connection is back, and nothing was lost


class Loops:
    """The loops, which run until the service stops."""

    def __init__(self, trader: Trader) -> None:
        self.kick = asyncio.Event()  # lets an activated kill switch act before the next second
        self._trader = trader
        self._asked: dict[str, float] = {}

    def all(self) -> list[Coroutine[Any, Any, None]]:
        trader = self._trader
        return [
            trader.ledger.keep(), trader.store.work(), self.lead(), trader.market_data.follow(), self.user_stream(), self.poll(),
            self.probe_venue(), self.probe_store(), self.orders(), self.scan(), self.controls(), self.reconcile(),
            trader.controls.signatures.keep(), self.heartbeat(), trader.snapshots.run(trader.numbers.snapshot.interval_s),
        ]  # fmt: skip

    async def scan(self) -> None:
        """Run the strategy."""
        trader = self._trader
        interval = 1 / trader.config.orders_per_s
        due = time.monotonic()
        while True:
            due = max(due + interval, time.monotonic())
            trader.metrics.beat("scan")
            free = not trader.busy() and not trader.reconciler.looking
            if free and trader.strategy is not None and not trader.blocked():
                self._signal(trader.strategy)
            await asyncio.sleep(due - time.monotonic())

    def _signal(self, strategy: Strategy) -> None:
        trader = self._trader
        intent = strategy.next(trader.market.quotes(time.monotonic(), trader.numbers.trader.stale_s))
        if intent is not None and not trader.controls.board.reasons(intent.symbol, strategy_of(intent.signal)):
            trader.spawn(trader.offer(intent))
        resting = {live.cid: live for live in trader.desk.live.values() if live.rests and not live.canceling}
        # While the ledger cannot be written, do nothing at the venue that could not be recorded.
        chosen = strategy.cancel(list(resting)) if not trader.sender.last_refusal else None
        if chosen is not None:
            trader.spawn(trader.desk.cancel(resting[chosen]))

    async def orders(self) -> None:
        """Query orders in doubt, and cancel resting orders while held."""
        trader = self._trader
        while True:
            trader.metrics.beat("order")
            if (
                trader.leads() and trader.venue.watch.ok
            ):  # otherwise only the probe queries: its first answer is noticed
                for live in list(trader.desk.live.values()):
                    self._attend(live)
            await asyncio.sleep(ROUND_S)

    def _attend(self, live: Live) -> None:
        trader, now = self._trader, time.monotonic()
        if now - self._asked.get(live.cid, 0.0) < ASK_S or trader.busy():
            return
        if live.check or live.state is State.UNKNOWN:
            trader.spawn(trader.desk.ask(live))
        elif trader.held() and live.rests and not live.canceling:
            trader.spawn(trader.desk.cancel(live))
        else:
            return
        self._asked = {cid: t for cid, t in self._asked.items() if cid in trader.desk.live} | {live.cid: now}

    async def lead(self) -> None:
        """Keep the lock, or wait for it; take over when it is newly ours."""
        trader = self._trader
        stand_back_s = trader.config.stand_back_s
        answered_at = float("inf")  # Redis, for the first time
        while True:
            since = time.monotonic() - answered_at
            await trader.leader.turn(contend=since >= stand_back_s or not stand_back_s)
            if trader.leader.watch.ok:
                answered_at = min(answered_at, time.monotonic())
            await trader.look_at_lead()
            starting = answered_at == float("inf") or (trader.leader.holds() and not trader.leads())
            await asyncio.sleep(FIRST_LOOK_S if starting else LOOK_S)

    async def user_stream(self) -> None:
        """Follow executions on the user stream; after each connect the poll finds missed ones."""
        trader = self._trader
        backoff = Backoff(trader.numbers.retry, Random())
        while True:
            try:
                async for event in trader.venue.reports():
                    if event is None:
                        backoff.reset()
                        trader.user_stream.good()
                        trader.poller.polled_at = 0.0
                        self._line(CONNECTED)
                    elif event["e"] == "brokerStatus" and self._line(event["code"]) == DATA_LOST:
                        break
                    elif event["e"] == "executionReport" and trader.leads():
                        trader.desk.report(event)
            except VenueError as error:
                log.warning("%s", error)
                trader.user_stream.bad(str(error))
            await asyncio.sleep(backoff.next_s())

    def _line(self, code: int) -> int:
        """Handle a broker's status events: pause while its connection to the market is down; when it is back, do not order before
        our books agree. 1101 also requires a new subscription."""
        trader, board = self._trader, self._trader.controls.board
        if code == LINE_LOST:
            board.close(BROKER, "1100: the venue lost its own line")
        elif BROKER in board.closed:
            if trader.leads():
                trader.reconciler.require(f"not reconciled since the venue's line came back ({code})")
            board.open(BROKER, f"the venue's line is back ({code})")
        return code

    async def poll(self) -> None:
        """Poll trades every few seconds, and at once when some are known to be missing or the user stream is down."""
        trader = self._trader
        while True:
            quick = trader.held() and trader.poller.polled_at <= trader.desk.changed_at
            missing = any(live.booked < live.executed for live in trader.desk.live.values())
            soon = missing or not trader.user_stream.ok
            due = trader.poller.polled_at + (0.5 if quick else LOOK_S if soon else POLL_S)
            if trader.leads() and trader.venue.watch.ok and time.monotonic() >= due:
                try:
                    await trader.poller.once()
                except (VenueError, StoreError) as error:
                    log.warning("poll: %s", error)
            await asyncio.sleep(ROUND_S)

    async def reconcile(self) -> None:
        """Reconcile with the venue when it is due."""
        trader = self._trader
        while True:
            due = time.monotonic() >= trader.reconciler.due_at
            if due and trader.leads() and trader.venue.watch.ok and trader.store.watch.ok:
                try:
                    await trader.reconciler.run(trader.leads)
                except UnsettledError as error:
                    log.warning("reconcile: %s", error)
            await asyncio.sleep(ROUND_S)

    async def controls(self) -> None:
        """Check the gates' files, and finish what the kill switch began."""
        trader = self._trader
        await trader.controls.kill_switch.prepare()
        while True:
            await trader.controls.turn(trader.sweep)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self.kick.wait()
            self.kick.clear()

    async def heartbeat(self) -> None:
        """Write the heartbeat file, for those that cannot reach us."""
        trader = self._trader
        path = Path(trader.config.data_dir) / "trader.heartbeat.json"
        while True:
            beat = {"ts": time.time(), "instance": trader.config.instance, "pid": os.getpid()}
            document = msgspec.json.encode(beat | {"heartbeats": trader.heartbeats()})
            try:
                await asyncio.to_thread(durable.replace, path, document)
            except OSError as error:
                log.debug("heartbeat: %s", error)  # a full disk: /health still shows that we are alive
            await asyncio.sleep(LOOK_S)

    async def probe_venue(self) -> None:
        await self._probe(self._trader.venue.probe)

    async def probe_store(self) -> None:
        await self._probe(lambda: self._trader.store.query("select 1"))

    async def _probe(self, ask: Any) -> None:
        """Probe a component once a second; its watch records the answer."""
        while True:
            with contextlib.suppress(VenueError, StoreError):
                await ask()
            await asyncio.sleep(LOOK_S)
