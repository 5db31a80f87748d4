"""Commands that people give a service over HTTP: under their name, and only from its own host (reached by SSH)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from ipaddress import ip_address

import msgspec
from aiohttp import web

from stormdesk.testnet.people import NotAPersonError, person
from stormdesk.testnet.service import json_response

Handler = Callable[[web.Request], Awaitable[web.Response]]


class Order(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A command: who gives it, and why."""

    by: str
    reason: str = ""


def ordered(act: Callable[[Order, web.Request], Awaitable[web.Response]]) -> Handler:
    """A handler for an Order. 403 from elsewhere, 400 without the name of a person."""

    async def handler(request: web.Request) -> web.Response:
        if not ip_address(request.remote or "0.0.0.0").is_loopback:  # noqa: S104  nobody
            return json_response({"error": "only from this host"}, 403)
        try:
            order = msgspec.json.decode(await request.read(), type=Order)
            person(order.by)
        except (msgspec.DecodeError, NotAPersonError) as error:
            return json_response({"error": str(error)}, 400)
        return await act(order, request)

    return handler
