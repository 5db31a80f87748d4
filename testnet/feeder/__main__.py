"""python -m stormdesk.testnet.feeder --config FILE"""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random

import aiohttp

from stormdesk.testnet import bus, resilience
from stormdesk.testnet.feeder.config import Config
from stormdesk.testnet.feeder.feed import Feed
from stormdesk.testnet.feeder.http import feeder_app
from stormdesk.testnet.feeder.records import Records
from stormdesk.testnet.service import log, serve, start, until, write_pidfile


async def run(config: Config, stop: asyncio.Event) -> None:
    timing = resilience.load(config.resilience).feeder
    link = bus.connect(config.bus, config.stream, timing.delivery_timeout_s)
    async with aiohttp.ClientSession() as session:
        feed = Feed(config, timing, Records(Path(config.data_dir), config.symbols), session, Random())
        runner = await serve(feeder_app(feed, timing.stale_s), config.listen)
        write_pidfile(Path(config.pidfile))
        log.info("feeder: following %s, run %d", config.venue_ws, feed.run)
        await until(stop, feed.follow(), feed.mend(), feed.publish(link), feed.keep())
        feed.write()
        await runner.cleanup()
    await link.close()


if __name__ == "__main__":
    start(Config, run)
