"""The WebSocket API on /ws-api/v3: the requests of REST under other names, sessions and the user stream."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import msgspec
from aiohttp import web

from stormdesk.testnet.venue import errors, events
from stormdesk.testnet.venue.api import Api, Ask, Reply
from stormdesk.testnet.venue.errors import ApiError, ThrottledError
from stormdesk.testnet.venue.order_entry import Desk
from stormdesk.testnet.venue.parameters import SIGNED, SOCKET, Reads, check
from stormdesk.testnet.venue.params import integer
from stormdesk.testnet.venue.sockets import Client, text_of

NAMES = {
    "ping": ("GET", "ping"),
    "time": ("GET", "time"),
    "exchangeInfo": ("GET", "exchangeInfo"),
    "depth": ("GET", "depth"),
    "trades.recent": ("GET", "trades"),
    "trades.historical": ("GET", "historicalTrades"),
    "trades.aggregate": ("GET", "aggTrades"),
    "klines": ("GET", "klines"),
    "avgPrice": ("GET", "avgPrice"),
    "ticker.24hr": ("GET", "ticker/24hr"),
    "ticker.price": ("GET", "ticker/price"),
    "ticker.book": ("GET", "ticker/bookTicker"),
    "order.place": ("POST", "order"),
    "order.test": ("POST", "order/test"),
    "order.status": ("GET", "order"),
    "order.cancel": ("DELETE", "order"),
    "openOrders.status": ("GET", "openOrders"),
    "openOrders.cancelAll": ("DELETE", "openOrders"),
    "allOrders": ("GET", "allOrders"),
    "myTrades": ("GET", "myTrades"),
    "account.status": ("GET", "account"),
    "account.rateLimits.orders": ("GET", "rateLimit/order"),
    "userDataStream.start": ("POST", "userDataStream"),
    "userDataStream.ping": ("PUT", "userDataStream"),
    "userDataStream.stop": ("DELETE", "userDataStream"),
}
SESSION = {"userDataStream.unsubscribe": Reads(optional=("subscriptionId",))}
WEIGHT = 2  # of a request about sessions and subscriptions


class ApiRequest(msgspec.Struct):
    """A request on the WebSocket API."""

    method: str
    id: int | str | None
    params: dict[str, Any] = {}


class WsApi:
    """The connections of the WebSocket API and the accounts that they are logged on as."""

    def __init__(self, desk: Desk, api: Api) -> None:
        self._desk = desk
        self._api = api
        self._sessions: dict[Client, str] = {}
        self._later: set[asyncio.Task[None]] = set()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        if self._desk.faults.refuses_streams(time.monotonic()):
            self._desk.note(events.Refused(t=time.time(), remote=request.remote or ""))
            return web.Response(status=503, text="the WebSocket API takes no connections now")
        client = Client(request, self._desk.rules, self._desk.hub.dropped, per_s=0, wrapped=False, api=True)
        try:
            return await self._desk.hub.serve(client, self._answer)
        finally:
            self._sessions.pop(client, None)

    def _answer(self, client: Client, text: str) -> None:
        try:
            asked = msgspec.json.decode(text, type=ApiRequest)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            self._desk.bad_input["json"] += 1
            code, msg = errors.BAD_JSON[1:]
            self._say(client, None, 400, {"error": {"code": code, "msg": msg}})
            return
        try:
            result = self._result(client, asked)
        except ApiError as error:
            refusal: dict[str, Any] = {"code": error.code, "msg": error.msg}
            if isinstance(error, ThrottledError):
                stamp = int(self._desk.now() * 1000)
                refusal["data"] = {"serverTime": stamp, "retryAfter": int(error.until * 1000)}
            self._say(client, asked, error.status, {"error": refusal})
            return
        if isinstance(result, Reply) and result.changed:
            task = asyncio.create_task(self._say_synced(client, asked, result))
            self._later.add(task)
            task.add_done_callback(self._later.discard)
        else:
            document = result.document if isinstance(result, Reply) else result
            self._say(client, asked, 200, {"result": document})
            if asked.method.startswith("userDataStream.subscribe"):
                self._desk.users.greet(client)

    async def _say_synced(self, client: Client, asked: ApiRequest, reply: Reply) -> None:
        """Answer when the journal is on the disk, and no breakpoint keeps it back."""
        await self._desk.journal.synced()
        if reply.kept is not None:
            await self._desk.breakpoints.let_go(reply.kept)
        self._say(client, asked, 200, {"result": reply.document})

    def _say(self, client: Client, asked: ApiRequest | None, status: int, what: Mapping[str, Any]) -> None:
        limits: Mapping[str, Any] = {}
        if _shows_limits(client, asked):
            used = self._desk.limits.used(client.remote, time.time())
            limits = {"rateLimits": [{**self._desk.rules.describe()[0], "count": used}]}
        client.send(text_of({"id": asked.id if asked else None, "status": status, **what, **limits}))

    def _result(self, client: Client, asked: ApiRequest) -> object:
        params = {key: _text(value) for key, value in asked.params.items() if value is not None}
        payload = "&".join(f"{key}={params[key]}" for key in sorted(params) if key != "signature")
        called = asked.method.removeprefix("v3/")
        method, path = NAMES.get(called, ("", ""))
        session = self._sessions.get(client, "")
        key = params.get("apiKey", "")
        ask = Ask(method, f"/api/v3/{path}", params, key, payload, client.remote, session=session, over_socket=True)
        if method:
            return self._api.answer(ask)
        return self._session(client, called, ask, session)

    def _session(self, client: Client, called: str, ask: Ask, session: str) -> object:
        """Requests about the connection: sessions and subscriptions."""
        self._charge(ask)
        check(SESSION.get(called, Reads()), ask.params, (*SIGNED, *SOCKET))
        match called:
            case "session.logon":
                if not self._desk.keys.account(ask.api_key).public_key:
                    raise ApiError(*errors.HMAC_LOGON)
                self._sessions[client] = self._api.authenticate(ask)
                return self._status(client, ask.api_key)
            case "session.status":
                return self._status(client, ask.api_key)
            case "session.logout":
                self._sessions.pop(client, None)
                return self._status(client, "")
            case "userDataStream.subscribe":
                if not session:
                    raise ApiError(*errors.NOT_LOGGED_ON)
                return {"subscriptionId": self._desk.users.subscribe(client, session)}
            case "userDataStream.subscribe.signature":
                return {"subscriptionId": self._desk.users.subscribe(client, self._api.authenticate(ask))}
            case "userDataStream.unsubscribe":
                number = integer(ask.params, "subscriptionId") if "subscriptionId" in ask.params else None
                ended = self._desk.users.unsubscribe(client, number, self._desk.now())
                if number is None and not ended:
                    raise ApiError(*errors.NOT_SUBSCRIBED)
                return {}
        raise ApiError(400, -1100, f"Unknown method '{called[:80]}'.")

    def _charge(self, ask: Ask) -> None:
        try:
            self._desk.limits.charge(ask.remote, WEIGHT, time.time())
        except ThrottledError as error:
            self._api.note_throttled(error, self._desk.keys.name(ask.api_key), ask.remote)
            raise

    def _status(self, client: Client, api_key: str) -> object:
        now = int(self._desk.now() * 1000)
        on = client in self._sessions
        return {
            "apiKey": api_key if on else None, "authorizedSince": now if on else None, "connectedSince": client.since_ms,
            "returnRateLimits": True, "serverTime": now, "userDataStream": False,
        }  # fmt: skip


def _shows_limits(client: Client, asked: ApiRequest | None) -> bool:
    """Whether an answer includes the used weight: as the request says, else as the connection's URL does."""
    shown = asked.params.get("returnRateLimits") if asked else None
    return shown if isinstance(shown, bool) else client.request.query.get("returnRateLimits", "").lower() != "false"


def _text(value: object) -> str:
    """A parameter as it is signed: text unchanged, everything else as JSON."""
    return value if isinstance(value, str) else text_of(value)
