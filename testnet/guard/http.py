"""The guard's HTTP."""

from __future__ import annotations

from aiohttp import web

from stormdesk.testnet.guard.guard import Guard
from stormdesk.testnet.operators import Order, ordered
from stormdesk.testnet.service import json_response, metrics_handler


def guard_app(guard: Guard) -> web.Application:
    """GET /health_v2 /stage /metrics, POST /clear-failsafe /kill-switch /kill-switch/reset"""
    limit_s = guard.numbers.health.interval_s * guard.numbers.health.max_age_intervals

    async def health(_: web.Request) -> web.Response:
        age = guard.age_s()
        if not guard.health:
            return json_response({"error": "no check yet"}, 503)
        return json_response({**guard.health, "age_s": round(age, 3)}, 503 if age > limit_s else 200)

    async def stage(_: web.Request) -> web.Response:
        stages = guard.stages
        return json_response({"stage": stages.stage, "attempts": stages.attempts, "reason": stages.reason})

    async def clear(order: Order, _: web.Request) -> web.Response:
        done = await guard.clear(order.by)
        return json_response({"cleared": done, "stage": guard.stages.stage}, 200 if done else 409)

    async def pull(order: Order, _: web.Request) -> web.Response:
        return json_response({"stopped": True, "venue": await guard.pull(order.reason, order.by)})

    async def release(order: Order, _: web.Request) -> web.Response:
        done = await guard.release(order.by)
        return json_response({"stopped": not done, "stage": guard.stages.stage}, 200 if done else 409)

    app = web.Application()
    app.add_routes(
        [
            web.get("/health_v2", health),
            web.get("/stage", stage),
            web.get("/metrics", metrics_handler(guard.metrics.registry)),
            web.post("/clear-failsafe", ordered(clear)),
            web.post("/kill-switch", ordered(pull)),
            web.post("/kill-switch/reset", ordered(release)),
        ]
    )
    return app
