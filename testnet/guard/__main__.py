"""python -m stormdesk.testnet.guard --config FILE"""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp

from stormdesk.testnet import resilience
from stormdesk.testnet.guard.config import Config
from stormdesk.testnet.guard.files import Files
from stormdesk.testnet.guard.guard import Guard
from stormdesk.testnet.guard.http import guard_app
from stormdesk.testnet.guard.kill import KillSwitch
from stormdesk.testnet.guard.probes import Probes
from stormdesk.testnet.guard.supervisor import Supervisor
from stormdesk.testnet.guard.systemd import Systemd
from stormdesk.testnet.service import log, serve, start, until, write_pidfile


async def run(config: Config, stop: asyncio.Event) -> None:
    numbers = resilience.load(config.resilience)
    manager = Systemd() if config.supervisor == "systemd" else Supervisor(config.supervisor)
    async with aiohttp.ClientSession() as session, manager as boss:
        probes = Probes(config, numbers, session, boss)
        kill = None
        if config.api_key:
            kill = KillSwitch(session, config.venue_rest, config.api_key, config.api_secret, config.symbols)
        guard = Guard(config, numbers, Files(Path(config.data_dir), config.instance), probes, boss, kill)
        runner = await serve(guard_app(guard), config.listen)
        write_pidfile(Path(config.pidfile))
        log.info("guard of %s on %s: %s", config.service, config.instance, guard.stages.stage)
        await until(stop, probes.follow_venue(), guard.beat(), guard.check())
        await runner.cleanup()
        await probes.close()


if __name__ == "__main__":
    start(Config, run)
