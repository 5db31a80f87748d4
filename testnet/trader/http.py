"""The trader's HTTP, docs/formats/trader.md."""

from __future__ import annotations

import time
from typing import Any

from aiohttp import web

from stormdesk.testnet.service import code, json_response, metrics_handler
from stormdesk.testnet.trader import sql
from stormdesk.testnet.trader.commands import Commands
from stormdesk.testnet.trader.loops import Loops
from stormdesk.testnet.trader.store import StoreError
from stormdesk.testnet.trader.trader import Trader


def health_document(trader: Trader) -> dict[str, Any]:
    """The document of /health, without any I/O."""
    components = trader.components()
    views = {name: watch.document() for name, watch in components.items()}
    age = trader.stream_age_s()
    views["Feeder"]["stream_age_s"] = round(age, 3) if age != float("inf") else None
    kill = trader.controls.kill_switch.state
    failing = [name for name, watch in components.items() if not watch.ok]
    return {
        "ts": time.time(),
        "age_s": 0.0,
        "dor": not failing,
        "stage": "OBSERVE",
        "failing_components": failing,
        "components": views,
        "heartbeats": trader.heartbeats(),
        "leader": {"is_leader": trader.leads(), "epoch": trader.epoch},
        "instance": trader.config.instance,
        "held": trader.held(),
        "kill_switch": {"active": kill.active, "reason": kill.reason},
        "last_reconcile": trader.reconciler.last,
        "breakers": {symbol: breaker.circuit for symbol, breaker in trader.controls.breakers.all.items()},
        "paused": {"reasons": [f"{gate}: {reason}" for gate, reason in trader.controls.board.closed.items()]},
        "user_stream": trader.user_stream.document(),
    }


def trader_app(trader: Trader, loops: Loops) -> web.Application:
    """GET /health /ready /metrics /orders /positions /drain, POST /hold /resume, and commands.py"""

    running = code()

    async def health(_: web.Request) -> web.Response:
        return json_response(health_document(trader) | {"code": running})

    async def ready(_: web.Request) -> web.Response:
        reasons = trader.blocked()
        if trader.ledger.error:
            reasons.append(f"Ledger: {trader.ledger.error}")
        return json_response({"ready": not reasons, "reasons": reasons}, 503 if reasons else 200)

    async def orders(request: web.Request) -> web.Response:
        state = request.query.get("state")
        return await _rows(trader, sql.ORDERS_KEYS, sql.ORDERS, (state, state))

    async def positions(_: web.Request) -> web.Response:
        return await _rows(trader, ("asset", "opening", "position"), sql.POSITIONS_TEXT, ())

    async def hold(_: web.Request) -> web.Response:
        trader.hold()
        return json_response(trader.drain())

    async def resume(_: web.Request) -> web.Response:
        trader.resume()
        return json_response(trader.drain())

    async def drain(_: web.Request) -> web.Response:
        return json_response(trader.drain())

    app = web.Application()
    app.add_routes(
        [
            web.get("/health", health),
            web.get("/ready", ready),
            web.get("/metrics", metrics_handler(trader.metrics.registry)),
            web.get("/orders", orders),
            web.get("/positions", positions),
            web.post("/hold", hold),
            web.post("/resume", resume),
            web.get("/drain", drain),
            *Commands(trader, loops).routes(),
        ]
    )
    return app


async def _rows(trader: Trader, keys: tuple[str, ...], statement: str, values: tuple[object, ...]) -> web.Response:
    try:
        rows = await trader.store.query(statement, values)
    except StoreError as error:
        return json_response({"error": str(error)}, 503)
    return json_response([dict(zip(keys, row, strict=True)) for row in rows])
