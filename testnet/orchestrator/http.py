"""The orchestrator's HTTP."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web

from stormdesk.testnet.operators import Handler, Order, ordered
from stormdesk.testnet.orchestrator import state as decide
from stormdesk.testnet.orchestrator.poller import Desk
from stormdesk.testnet.orchestrator.state import State
from stormdesk.testnet.orchestrator.statefile import INVALID
from stormdesk.testnet.service import json_response, metrics_handler


def orchestrator_app(desk: Desk) -> web.Application:
    """GET /state /metrics, POST /pause /resume /abort /answer/<alert>"""

    async def state(_: web.Request) -> web.Response:
        return _told(desk)

    async def answer(order: Order, request: web.Request) -> web.Response:
        name = request.match_info["alert"]
        if name == INVALID:
            desk.file.answered()
        elif name not in desk.state.alerts:
            return json_response({"error": f"no alert {name}", "alerts": sorted(desk.state.alerts)}, 404)
        else:
            await desk.change(lambda state: decide.answer(state, name, order.by))
        return _told(desk)

    app = web.Application(middlewares=[_kept])
    app.add_routes(
        [
            web.get("/state", state),
            web.get("/metrics", metrics_handler(desk.registry)),
            web.post("/pause", _changing(desk, lambda s, o: decide.pause(s, o.by, o.reason or "paused", time.time()))),
            web.post("/abort", _changing(desk, lambda s, o: decide.abort(s, o.by, o.reason or "aborted", time.time()))),
            web.post("/resume", _changing(desk, lambda s, o: decide.resume(s, o.by))),
            web.post("/answer/{alert}", ordered(answer)),
        ]
    )
    return app


def _changing(desk: Desk, change: Callable[[State, Order], State]) -> Handler:
    async def act(order: Order, _: web.Request) -> web.Response:
        await desk.change(lambda state: change(state, order))
        return _told(desk)

    return ordered(act)


def _told(desk: Desk) -> web.Response:
    state = desk.state
    return json_response({"paused": bool(state.reasons), "reasons": state.reasons, **msgspec.to_builtins(state)})


@web.middleware
async def _kept(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except OSError as error:
        return json_response({"error": f"the state could not be kept, so nothing has changed: {error}"}, 507)
