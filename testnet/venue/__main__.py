"""python -m stormdesk.testnet.venue --config FILE"""

from __future__ import annotations

import asyncio
from pathlib import Path

from stormdesk.testnet.service import every, log, serve, start, write_pidfile
from stormdesk.testnet.venue.control import control_app
from stormdesk.testnet.venue.desk import Desk
from stormdesk.testnet.venue.keys import Config
from stormdesk.testnet.venue.rest import venue_app

TICK_S = 0.1  # the fast streams speak this often


async def run(config: Config, stop: asyncio.Event) -> None:
    desk = Desk(config)
    runners = [await serve(control_app(desk), config.control), await serve(venue_app(desk), config.listen)]
    write_pidfile(Path(config.pidfile))
    log.info("venue: open on %s, control on %s, journal at line %d", config.listen, config.control, desk.journal.seq)
    while await every(stop, TICK_S):
        desk.tick()
    await desk.hub.farewell()
    for runner in runners:
        await runner.cleanup()
    desk.journal.close()


if __name__ == "__main__":
    start(Config, run)
