"""The control port's handlers for breakpoints: set, ask or wait, lift."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Annotated, Literal

import msgspec
from aiohttp import web

from stormdesk.core.anchors import MOST
from stormdesk.testnet.service import json_response
from stormdesk.testnet.venue.breakpoints import Breakpoint
from stormdesk.testnet.venue.order_entry import Desk

MAX_WAIT_S = 10.0


class Asked(msgspec.Struct, forbid_unknown_fields=True):
    """The body of POST /breakpoints. Repeating it with the same `id` changes nothing."""

    id: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    on: Literal["accepted", "filled", "canceled"]
    nth: Annotated[int, msgspec.Meta(ge=1, le=MOST)]
    for_s: Annotated[float, msgspec.Meta(gt=0, le=1800)]


class BreakpointControl:
    """The handlers."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/breakpoints", self.set),
            web.get("/breakpoints/{id}", self.one),
            web.delete("/breakpoints/{id}", self.end),
        ]

    async def set(self, request: web.Request) -> web.Response:
        """POST /breakpoints"""
        try:
            asked = msgspec.json.decode(await request.read(), type=Asked)
        except msgspec.DecodeError as error:
            return json_response({"error": str(error)}, 400)
        made = self._desk.breakpoints.set(asked.id, asked.on, asked.nth, asked.for_s, time.monotonic())
        return json_response(made.describe(), 201)

    async def one(self, request: web.Request) -> web.Response:
        """GET /breakpoints/<id>?wait=<seconds>: how it stands, once it holds or is over, at the latest after that time. What it holds
        is on the disk when this says so."""
        found = self._desk.breakpoints.find(request.match_info["id"])
        if found is not None and found.state == "waiting":
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_wait_s(request)):
                    await found.come.wait()
        await self._desk.journal.synced()
        return _found(found)

    async def end(self, request: web.Request) -> web.Response:
        """DELETE /breakpoints/<id>"""
        return _found(self._desk.breakpoints.end(request.match_info["id"]))


def _wait_s(request: web.Request) -> float:
    text = request.query.get("wait", "0")
    if not text.isascii() or not text.isdigit() or int(text[:9]) > MAX_WAIT_S:
        raise web.HTTPBadRequest(text=f"wait: {text[:40]!r} is not a number of seconds, 0..{MAX_WAIT_S:g}")
    return float(text)


def _found(one: Breakpoint | None) -> web.Response:
    return json_response(one.describe()) if one else json_response({"error": "no such breakpoint"}, 404)
