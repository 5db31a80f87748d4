"""HTTP: the venue's public side. Reads requests, passes them to the Api, and writes Binance's errors and headers."""

from __future__ import annotations

import asyncio
import time
from urllib.parse import parse_qsl

from aiohttp import web
from aiohttp.typedefs import Handler

from stormdesk.testnet.service import json_response
from stormdesk.testnet.venue import errors, signing
from stormdesk.testnet.venue.api import Api, Ask
from stormdesk.testnet.venue.errors import ApiError, ThrottledError
from stormdesk.testnet.venue.faults.rest_acts import RestActs
from stormdesk.testnet.venue.no_request import IdleConnections, count_not_http
from stormdesk.testnet.venue.order_entry import Desk
from stormdesk.testnet.venue.wsapi import WsApi

IDLE = web.AppKey("IDLE", IdleConnections)


class Rest:
    """One handler for all paths."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._api = Api(desk)
        self._sockets = WsApi(desk, self._api)
        self._acts = RestActs(desk.faults, desk.keys)
        self.idle = IdleConnections(desk.rules.request_s, desk.hub.dropped)

    @web.middleware
    async def speak(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Turn errors into the venue's JSON, and add the headers with the used weight."""
        remote = request.remote or ""
        self.idle.asked(request.protocol)
        await self._acts.ready()
        try:
            response = await handler(request)
        except ApiError as error:
            response = json_response({"code": error.code, "msg": error.msg}, error.status)
            if isinstance(error, ThrottledError):
                response.headers["Retry-After"] = str(error.retry_after_s)
        except web.HTTPException as error:
            self._desk.bad_input[error.reason] += 1
            response = json_response({"code": -1000, "msg": error.reason}, error.status)
        if not response.prepared:
            response.headers["X-MBX-USED-WEIGHT-1M"] = str(self._desk.limits.used(remote, time.time()))
        return await self._acts.answer(request, response)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Any path: a WebSocket, or a request of the Api's table."""
        path = request.path
        if path.startswith(("/ws", "/stream")):
            return await self._socket(request)
        ask = await self._read(request)
        reply = self._api.answer(ask)
        if reply.changed:
            await self._desk.journal.synced()
        if reply.kept is not None:
            await self._desk.breakpoints.let_go(reply.kept)
        response = json_response(reply.document)
        response.headers.update(reply.headers)
        return response

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() != "websocket":
            raise ApiError(*errors.NO_UPGRADE)
        remote = request.remote or ""
        try:
            self._desk.limits.connect(remote, time.time())
        except ThrottledError as error:
            self._api.note_throttled(error, "", remote)
            raise
        if request.path == "/ws-api/v3":
            return await self._sockets.serve(request)
        if request.path in ("/ws", "/stream") or request.path.startswith("/ws/"):
            return await self._desk.hub.market(request)
        raise ApiError(*errors.NOT_FOUND)

    async def _read(self, request: web.Request) -> Ask:
        """The request with the parameters of query and body combined: clients use either."""
        body = b""
        if request.body_exists:
            try:
                async with asyncio.timeout(self._desk.rules.request_s):
                    body = await request.read()
            except TimeoutError:
                raise web.HTTPRequestTimeout from None
        query, key = request.rel_url.raw_query_string, request.headers.get("X-MBX-APIKEY", "")
        try:
            return ask_of(request.method, request.path, query, body, key, request.remote or "")
        except UnicodeError:
            self._desk.bad_input["encoding"] += 1
            raise errors.illegal("body") from None


def ask_of(method: str, path: str, query: str, body: bytes, api_key: str, remote: str) -> Ask:
    """The request for the Api: the query takes precedence over the body, and a GET has no parameters in its body. Raises
    UnicodeError when query or body are not text."""
    query.encode()
    text = body.decode()
    payload = signing.without_signature(query) + signing.without_signature(text)
    asked, sent = _form(query), _form(text) if method != "GET" else []
    params, twice = dict(asked), len(dict(asked)) < len(asked) or len(dict(sent)) < len(sent)
    return Ask(method, path, dict(sent) | params, api_key, payload, remote, twice=twice)


def _form(text: str) -> list[tuple[str, str]]:
    if "%" in text or "+" in text:
        return parse_qsl(text, keep_blank_values=True, errors="replace")
    pairs = (part.partition("=") for part in text.split("&") if part)  # most requests: nothing to decode
    return [(name, value) for name, _, value in pairs]


def venue_app(desk: Desk) -> web.Application:
    """The venue's public side: REST and WebSockets on one port."""
    rest = Rest(desk)
    app = web.Application(middlewares=[rest.speak], client_max_size=desk.rules.body_bytes)
    app.router.add_route("*", "/{path:.*}", rest.handle)
    app[IDLE] = rest.idle
    count_not_http(desk.bad_input)
    return app
