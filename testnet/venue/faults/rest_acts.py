"""Applies the decisions of faults to REST requests: errors, delays, silence, broken answers."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from typing import Any

import msgspec
from aiohttp import web

from stormdesk.testnet.service import json_response
from stormdesk.testnet.venue.faults.active_faults import ActiveFaults
from stormdesk.testnet.venue.faults.model import Active, Asked, Break, Late, Refuse, Say, Silence
from stormdesk.testnet.venue.keys import Keys

API = "/api/v3/"
LOOK_S = 0.02  # between checks whether a fault is over
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends RST


class RestActs:
    """A layer between aiohttp and the handlers of the REST interface."""

    def __init__(self, faults: ActiveFaults, keys: Keys) -> None:
        self._faults = faults
        self._keys = keys

    async def ready(self) -> None:
        """Return when a request may proceed: none does while the venue is frozen."""
        while self._faults.active and self._faults.holding(time.monotonic()):
            await asyncio.sleep(LOOK_S)

    async def answer(self, request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
        """The replacement of a successful answer; other answers are unchanged."""
        if not self._faults.active or not _says_yes(request, response):
            return response
        assert isinstance(response, web.Response)
        assert isinstance(response.body, bytes)
        document: Any = msgspec.json.decode(response.body)
        for active, act in self._faults.answer(self._asked(request), document, time.monotonic()):
            match act:
                case Say():
                    response.body = msgspec.json.encode(act.document)
                case Late():
                    await asyncio.sleep(act.seconds)
                case Refuse():
                    return json_response({"code": act.code, "msg": act.msg}, act.status)
                case Silence():
                    await _over(active)
                    _reset(request)
                case Break():
                    return await _broken(request, response, act.percent)
        return response

    def _asked(self, request: web.Request) -> Asked:
        account = self._keys.name(request.headers.get("X-MBX-APIKEY", ""))
        path, symbol = request.path.removeprefix(API), request.query.get("symbol", "")
        return Asked(request.method, path, account, request.remote or "", symbol)


def _says_yes(request: web.Request, response: web.StreamResponse) -> bool:
    return (
        request.path.startswith(API)
        and isinstance(response, web.Response)
        and not response.prepared
        and response.status == 200
        and isinstance(response.body, bytes)
    )


async def _over(active: Active) -> None:
    while active.on:
        await asyncio.sleep(LOOK_S)


def _reset(request: web.Request) -> None:
    """Reset the connection with RST."""
    if request.transport is not None:
        request.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        request.transport.abort()


async def _broken(request: web.Request, response: web.Response, percent: float) -> web.StreamResponse:
    """Headers for the whole body, a part of it, then RST."""
    body = response.body
    assert isinstance(body, bytes)
    part = web.StreamResponse(status=response.status, headers={"Content-Type": "application/json"})
    part.content_length = len(body)
    await part.prepare(request)
    await part.write(body[: max(1, int(len(body) * percent / 100))])
    _reset(request)
    return part
