"""python -m stormdesk.testnet.feeder --config FILE"""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random

import aiohttp
from aiohttp import web

from stormdesk.testnet.bus.redis_streams import RedisBus
from stormdesk.testnet.feeder.feed import STALE_S, Config, Feed
from stormdesk.testnet.service import json_response, log, metrics_handler, serve, start, until, write_pidfile


async def run(config: Config, stop: asyncio.Event) -> None:
    bus = RedisBus(config.redis, config.stream)
    async with aiohttp.ClientSession() as session:
        feed = Feed(config, session, Random())
        ages = feed.metrics

        async def health(_: web.Request) -> web.Response:
            streams = {symbol: round(ages.age_s(symbol), 3) for symbol in config.symbols}
            return json_response({"ok": max(streams.values()) <= STALE_S, "stream_age_s": streams})

        app = web.Application()
        app.add_routes([web.get("/health", health), web.get("/metrics", metrics_handler(ages.registry))])
        runner = await serve(app, config.listen)
        write_pidfile(Path(config.pidfile))
        log.info("feeder: following %s", config.venue_ws)
        await until(stop, feed.follow(), feed.publish(bus))
        await runner.cleanup()
    await bus.close()


if __name__ == "__main__":
    start(Config, run)
