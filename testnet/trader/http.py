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


class Pages:
    """The handlers that report state, and those of hold and resume."""

    def __init__(self, trader: Trader) -> None:
        self._trader = trader
        self._code = code()  # of this process, so read once

    async def health(self, _: web.Request) -> web.Response:
        return json_response(health_document(self._trader) | {"code": self._code})

    async def ready(self, _: web.Request) -> web.Response:
        reasons = self._trader.blocked()
        if self._trader.ledger.error:
            reasons.append(f"Ledger: {self._trader.ledger.error}")
        return json_response({"ready": not reasons, "reasons": reasons}, 503 if reasons else 200)

    async def orders(self, request: web.Request) -> web.Response:
        state = request.query.get("state")
        return await _rows(self._trader, sql.ORDERS_KEYS, sql.ORDERS, (state, state))

    async def positions(self, _: web.Request) -> web.Response:
        return await _rows(self._trader, ("asset", "opening", "position"), sql.POSITIONS_TEXT, ())

    async def hold(self, request: web.Request) -> web.Response:
        self._trader.hold()
        return await self.drain(request)

    async def resume(self, request: web.Request) -> web.Response:
        self._trader.resume()
        return await self.drain(request)

    async def drain(self, _: web.Request) -> web.Response:
        return json_response(self._trader.drain())


def trader_app(trader: Trader, loops: Loops) -> web.Application:
    """GET /health /ready /metrics /orders /positions /drain, POST /hold /resume, and commands.py"""
    pages = Pages(trader)
    app = web.Application()
    app.add_routes(
        [
            web.get("/health", pages.health),
            web.get("/ready", pages.ready),
            web.get("/metrics", metrics_handler(trader.metrics.registry)),
            web.get("/orders", pages.orders),
            web.get("/positions", pages.positions),
            web.post("/hold", pages.hold),
            web.post("/resume", pages.resume),
            web.get("/drain", pages.drain),
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
