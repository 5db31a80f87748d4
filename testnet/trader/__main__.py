"""python -m stormdesk.testnet.trader --config FILE"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import aiohttp

from stormdesk.testnet import bus as buses
from stormdesk.testnet import silence
from stormdesk.testnet.ledger import Ledger, LedgerError
from stormdesk.testnet.redis_link import connect
from stormdesk.testnet.resilience import load
from stormdesk.testnet.service import every, log, serve, start, until, write_pidfile
from stormdesk.testnet.trader.config import Config
from stormdesk.testnet.trader.gates.files import StateFile
from stormdesk.testnet.trader.http import trader_app
from stormdesk.testnet.trader.leader import Leader
from stormdesk.testnet.trader.loops import Loops
from stormdesk.testnet.trader.metrics import Metrics
from stormdesk.testnet.trader.store import Store
from stormdesk.testnet.trader.throttle import Throttle
from stormdesk.testnet.trader.trader import Trader
from stormdesk.testnet.trader.venue import Venue


async def run(config: Config, stop: asyncio.Event) -> None:
    pidfile = Path(config.pidfile)
    former_self_dead = _is_gone(pidfile)
    write_pidfile(pidfile)
    numbers = load(config.resilience)
    ledger = await _open_ledger(Path(config.data_dir) / "ledger.jsonl", numbers.ledger.restore_s, stop)
    if ledger is None:
        return
    metrics = Metrics()
    metrics.counter("trader_ledger_corrupt_lines", "Bad lines of the ledger.", lambda: ledger.worst)
    store = Store(config.postgres, config.instance)
    redis, bus = connect(config.redis), buses.connect(config.bus, config.stream)
    lock_file = Path(config.data_dir) / "runtime" / "leader_lock.json"
    leader = Leader(
        redis, config.leader_key, config.instance, numbers.leader, lock_file, former_self_dead=former_self_dead
    )
    guard = Path(config.guard_dir) if config.guard_dir else None
    throttle = Throttle(StateFile(Path(config.data_dir) / silence.FILE), numbers, guard)
    async with aiohttp.ClientSession() as session:
        venue = Venue(config, numbers.order, session, throttle, metrics)
        trader = Trader(config, numbers, ledger, store, venue, leader, bus, metrics)
        loops = Loops(trader)
        runner = await serve(trader_app(trader, loops), config.listen)
        log.info("trader %s: answering on %s", config.instance, config.listen)
        await until(stop, *loops.all(), finish=trader.finish)
        await leader.release()
        await runner.cleanup()
    ledger.close()
    await store.close()
    await bus.close()
    await redis.aclose()


async def _open_ledger(path: Path, restore_s: float, stop: asyncio.Event) -> Ledger | None:
    """Open the ledger, retrying while the disk refuses; None when told to stop."""
    while True:
        try:
            return Ledger(path, time.time, restore_s)
        except LedgerError as error:
            log.error("ledger: %s", error)
        if not await every(stop, 1.0):
            return None


def _is_gone(pidfile: Path) -> bool:
    """Whether the process that wrote the pid file no longer runs. Another program may have its pid by now."""
    try:
        pid = int(pidfile.read_text())
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError):
        return True
    return pid == os.getpid() or b"stormdesk.testnet.trader" not in command


if __name__ == "__main__":
    start(Config, run)
