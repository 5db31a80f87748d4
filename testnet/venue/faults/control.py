"""The control port's handlers for faults: start, list, end."""

from __future__ import annotations

import secrets
import time
from typing import Any

import msgspec
from aiohttp import web

from stormdesk.core.errors import UsageError
from stormdesk.core.values import Hold, Seed
from stormdesk.testnet.service import json_response
from stormdesk.testnet.venue import faults
from stormdesk.testnet.venue.faults.model import Active
from stormdesk.testnet.venue.order_entry import Desk


class Asked(msgspec.Struct, forbid_unknown_fields=True):
    """The body of POST /faults. Repeating it with the same `id` changes nothing."""

    name: str
    for_s: float
    seed: int = 0
    params: dict[str, Any] = {}
    id: str = ""


class Manual(msgspec.Struct, forbid_unknown_fields=True):
    """The body of POST /external-order: the parameters of the fault of that name."""

    side: str = "SELL"
    worth: int = 100


def described(active: Active) -> dict[str, Any]:
    """A fault as JSON; `left_s` counts down to its end."""
    return {
        "id": active.id, "name": active.fault.name, "on": active.on, "hits": active.hits, "seed": active.seed,
        "params": faults.parameters(active.fault), "for_s": active.for_s,
        "left_s": round(max(0.0, active.until - time.monotonic()), 3) if active.on else 0.0,
    }  # fmt: skip


def fault_routes(desk: Desk) -> list[web.RouteDef]:
    """POST, GET /faults; GET, DELETE /faults/<id>; POST /external-order."""

    async def put_in(request: web.Request) -> web.Response:
        try:
            asked = msgspec.json.decode(await request.read(), type=Asked)
            fault, for_s, seed = faults.make(asked.name, asked.params), Hold(asked.for_s), Seed(asked.seed)
        except (msgspec.DecodeError, UsageError) as error:
            return json_response({"error": str(error)}, 400)
        id_ = asked.id or f"f-{secrets.token_hex(6)}"
        active = desk.faults.begin(id_, fault, float(for_s), int(seed), time.monotonic())
        desk.turn()
        return json_response(described(active), 201)

    async def all_of_them(_: web.Request) -> web.Response:
        desk.turn()
        known = desk.faults
        return json_response(
            {
                "active": [described(active) for active in known.active.values()],
                "ended": [described(active) for active in known.ended],
            }
        )

    async def one(request: web.Request) -> web.Response:
        desk.turn()
        active = desk.faults.find(request.match_info["id"])
        return json_response(described(active)) if active else json_response({"error": "no such fault"}, 404)

    async def take_out(request: web.Request) -> web.Response:
        active = desk.faults.end(request.match_info["id"])
        desk.turn()
        return json_response(described(active)) if active else json_response({"error": "no such fault"}, 404)

    async def by_hand(request: web.Request) -> web.Response:
        try:
            asked = msgspec.json.decode(await request.read() or b"{}", type=Manual)
            fault = faults.make("external-order", {"side": asked.side, "worth": asked.worth})
        except (msgspec.DecodeError, UsageError) as error:
            return json_response({"error": str(error)}, 400)
        active = desk.faults.begin(f"f-{secrets.token_hex(6)}", fault, 1.0, 0, time.monotonic())
        desk.turn()
        desk.faults.end(active.id)
        desk.turn()
        return json_response(described(active), 201 if active.hits else 409)

    return [
        web.post("/faults", put_in),
        web.get("/faults", all_of_them),
        web.get("/faults/{id}", one),
        web.delete("/faults/{id}", take_out),
        web.post("/external-order", by_hand),
    ]
