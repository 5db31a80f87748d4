"""GET /health /metrics /book?symbol= /gaps"""

from __future__ import annotations

from aiohttp import web

from stormdesk.testnet.feeder.feed import Feed
from stormdesk.testnet.feeder.market import sides
from stormdesk.testnet.service import json_response, metrics_handler


def feeder_app(feed: Feed, stale_s: float) -> web.Application:
    """The feeder's own view; needs neither the venue nor the bus."""

    async def health(_: web.Request) -> web.Response:
        ages = feed.metrics.ages()
        return json_response({"ok": max(ages.values()) <= stale_s, "stream_age_s": ages, "run": feed.run})

    async def book(request: web.Request) -> web.Response:
        found = feed.market.books.get(request.query.get("symbol", ""))
        if found is None:
            return json_response({"error": f"symbol: one of {', '.join(feed.market.books)}"}, 400)
        synced = found.last is not None
        last = found.last if synced else found.before
        return json_response({"lastUpdateId": last or 0, "synced": synced, **sides(found)})

    async def gaps(_: web.Request) -> web.Response:
        return json_response(feed.market.gaps.document())

    app = web.Application()
    app.add_routes([web.get("/health", health), web.get("/book", book), web.get("/gaps", gaps)])
    app.add_routes([web.get("/metrics", metrics_handler(feed.metrics.registry))])
    return app
