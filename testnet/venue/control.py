"""The control port: the journal and the venue's own view, for those who judge. It is never faulted."""

from __future__ import annotations

from aiohttp import web
from prometheus_client import CollectorRegistry, Gauge

from stormdesk.testnet.service import json_response, metrics_handler
from stormdesk.testnet.venue import replies
from stormdesk.testnet.venue.desk import Desk
from stormdesk.testnet.venue.market import plain


def numbers(desk: Desk) -> CollectorRegistry:
    """The venue's metrics, read from its state when asked."""
    registry = CollectorRegistry()
    exchange = desk.exchange
    for name, what, read in (
        ("venue_orders", "Orders accepted so far.", lambda: len(exchange.orders)),
        ("venue_trades", "Trades made so far.", exchange.trade_count),
        ("venue_open_orders", "Open orders; the house's quotes do not count.", exchange.open_count),
        ("venue_journal_lines", "Lines in the journal.", lambda: desk.journal.seq),
    ):
        Gauge(name, what, registry=registry).set_function(read)
    return registry


def control_app(desk: Desk) -> web.Application:
    """GET /health /journal?since= /balances /orders /metrics"""

    async def health(_: web.Request) -> web.Response:
        return json_response({"ok": True, "seq": desk.journal.seq, "symbols": list(desk.exchange.symbols)})

    async def journal(request: web.Request) -> web.StreamResponse:
        since = request.query.get("since", "0")
        if not since.isdigit():
            return json_response({"error": f"since: {since!r} is not a line number"}, 400)
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await response.prepare(request)
        for chunk in desk.journal.since(int(since)):
            await response.write(chunk)
        return response

    async def balances(_: web.Request) -> web.Response:
        held = desk.exchange.accounts
        view = {
            name: {a: {"free": plain(b.free), "locked": plain(b.locked)} for a, b in held.of(name).items()}
            for name in held.totals()
        }
        return json_response(view)

    async def orders(_: web.Request) -> web.Response:
        return json_response([{"account": o.account, **replies.queried(o)} for o in desk.exchange.orders.values()])

    app = web.Application()
    app.add_routes(
        [
            web.get("/health", health),
            web.get("/journal", journal),
            web.get("/balances", balances),
            web.get("/orders", orders),
            web.get("/metrics", metrics_handler(numbers(desk))),
        ]
    )
    return app
