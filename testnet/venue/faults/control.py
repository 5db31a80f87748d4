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


class FaultControl:
    """The handlers."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/faults", self.begin),
            web.get("/faults", self.all),
            web.get("/faults/{id}", self.one),
            web.delete("/faults/{id}", self.end),
            web.post("/external-order", self.external_order),
        ]

    async def begin(self, request: web.Request) -> web.Response:
        """POST /faults"""
        try:
            asked = msgspec.json.decode(await request.read(), type=Asked)
            fault, for_s, seed = faults.make(asked.name, asked.params), Hold(asked.for_s), Seed(asked.seed)
        except (msgspec.DecodeError, UsageError) as error:
            return json_response({"error": str(error)}, 400)
        id_ = asked.id or _new_id()
        active = self._desk.faults.begin(id_, fault, float(for_s), int(seed), time.monotonic())
        self._desk.turn()
        return json_response(described(active), 201)

    async def all(self, _: web.Request) -> web.Response:
        """GET /faults"""
        self._desk.turn()
        known = self._desk.faults
        return json_response(
            {
                "active": [described(active) for active in known.active.values()],
                "ended": [described(active) for active in known.ended],
            }
        )

    async def one(self, request: web.Request) -> web.Response:
        """GET /faults/<id>"""
        self._desk.turn()
        return _found(self._desk.faults.find(request.match_info["id"]))

    async def end(self, request: web.Request) -> web.Response:
        """DELETE /faults/<id>"""
        active = self._desk.faults.end(request.match_info["id"])
        self._desk.turn()
        return _found(active)

    async def external_order(self, request: web.Request) -> web.Response:
        """POST /external-order: the fault of that name begins and ends at once; 409 when it had no effect."""
        try:
            asked = msgspec.json.decode(await request.read() or b"{}", type=Manual)
            fault = faults.make("external-order", {"side": asked.side, "worth": asked.worth})
        except (msgspec.DecodeError, UsageError) as error:
            return json_response({"error": str(error)}, 400)
        active = self._desk.faults.begin(_new_id(), fault, 1.0, 0, time.monotonic())
        self._desk.turn()
        self._desk.faults.end(active.id)
        self._desk.turn()
        return json_response(described(active), 201 if active.hits else 409)


def _found(active: Active | None) -> web.Response:
    return json_response(described(active)) if active else json_response({"error": "no such fault"}, 404)


def _new_id() -> str:
    return f"f-{secrets.token_hex(6)}"
