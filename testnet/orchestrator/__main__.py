"""python -m stormdesk.testnet.orchestrator --config FILE"""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp

from stormdesk.testnet import resilience
from stormdesk.testnet.orchestrator.http import orchestrator_app
from stormdesk.testnet.orchestrator.poller import Config, Desk
from stormdesk.testnet.orchestrator.statefile import StateFile
from stormdesk.testnet.service import log, serve, start, until, write_pidfile


async def run(config: Config, stop: asyncio.Event) -> None:
    numbers = resilience.load(config.resilience).orchestrator
    file = StateFile(Path(config.data_dir))
    async with aiohttp.ClientSession() as session:
        desk = Desk(config, numbers, file, session)
        runner = await serve(orchestrator_app(desk), config.listen)
        write_pidfile(Path(config.pidfile))
        log.info("orchestrator: %s", "; ".join(desk.state.reasons) or "trading")
        await until(stop, desk.follow())
        await runner.cleanup()


if __name__ == "__main__":
    start(Config, run)
