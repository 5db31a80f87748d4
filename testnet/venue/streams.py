"""WebSockets: market streams on /ws and /stream, the user stream on /ws-api/v3.

A client that does not read is dropped when its queue is full; it never holds up the venue.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from aiohttp import WSMessage, WSMsgType, web

from stormdesk.testnet.venue import events, replies, signing
from stormdesk.testnet.venue.book import Book
from stormdesk.testnet.venue.errors import ApiError
from stormdesk.testnet.venue.exchange import HOUSE, Exchange, Happening
from stormdesk.testnet.venue.keys import Keys

QUEUE = 1000
PING_S = 20.0
MAX_STREAMS = 1024


def _text(document: object) -> str:
    return msgspec.json.encode(document).decode()


class Client:
    """One connection: a queue, and a task that empties it into the socket."""

    def __init__(self, request: web.Request, *, wrapped: bool) -> None:
        self.ws = web.WebSocketResponse(heartbeat=PING_S, compress=False, max_msg_size=65_536)
        self.wrapped = wrapped
        self.streams: set[str] = set()
        self._request = request
        self._queue: asyncio.Queue[str] = asyncio.Queue(QUEUE)

    def send(self, text: str) -> None:
        """Queue a message; a client that is too slow loses its connection."""
        try:
            self._queue.put_nowait(text)
        except asyncio.QueueFull:
            if self._request.transport is not None:
                self._request.transport.abort()

    async def talk(self, answer: Any) -> None:
        """Send what is queued and give each incoming text to `answer`, until the connection ends."""
        await self.ws.prepare(self._request)
        pump = asyncio.create_task(self._pump())
        try:
            message: WSMessage
            async for message in self.ws:
                if message.type is WSMsgType.TEXT:
                    answer(self, message.data)
        finally:
            pump.cancel()

    async def _pump(self) -> None:
        while True:
            text = await self._queue.get()
            try:
                await self.ws.send_str(text)
            except ConnectionError:
                return


class Hub:
    """Who listens to what, and what they are told."""

    def __init__(self, exchange: Exchange, keys: Keys) -> None:
        self._exchange = exchange
        self._keys = keys
        self._market: dict[str, set[Client]] = defaultdict(set)
        self._users: dict[str, dict[Client, int]] = defaultdict(dict)
        self._tickers: dict[str, tuple[object, object]] = {}
        self._subscriptions = 0

    # -- what the venue tells ------------------------------------------------------------------------------------

    def publish(self, happenings: Iterable[Happening]) -> None:
        """Tell trades to everybody and executions to whom they belong."""
        for happening in happenings:
            event = happening.event
            if isinstance(event, events.Trade) and not event.maker:
                self._tell(f"{event.symbol.lower()}@trade", lambda e=event: replies.trade_message(e))
            if happening.order is not None:
                self._report(happening)

    def tick(self, now: float) -> None:
        """Tell what changed in the books since the last tick."""
        for symbol, book in self._exchange.books.items():
            diff = book.diff()
            if diff is None:
                continue
            name = symbol.lower()
            document = replies.depth_message(symbol, diff, now)
            for stream in (f"{name}@depth", f"{name}@depth@100ms"):
                self._tell(stream, lambda d=document: d)
            self._tell_ticker(symbol, book)

    def _tell_ticker(self, symbol: str, book: Book) -> None:
        best = (book.best("BUY"), book.best("SELL"))
        if self._tickers.get(symbol) != best:
            self._tickers[symbol] = best
            self._tell(f"{symbol.lower()}@bookTicker", lambda: replies.ticker_message(symbol, book))

    def _tell(self, stream: str, make: Any) -> None:
        clients = self._market.get(stream)
        if not clients:
            return
        document = make()
        raw = _text(document)
        wrapped = _text({"stream": stream, "data": document})
        for client in clients:
            client.send(wrapped if client.wrapped else raw)

    def _report(self, happening: Happening) -> None:
        order = happening.order
        if order is None or order.account == HOUSE or not self._users.get(order.account):
            return
        symbol = self._exchange.symbols[order.symbol]
        held = self._exchange.accounts.of(order.account)
        position = replies.account_position(held, (symbol.base, symbol.quote), happening.event.t)
        for document in (replies.execution_report(happening, order), position):
            for client, subscription in self._users[order.account].items():
                client.send(_text({"subscriptionId": subscription, "event": document}))

    # -- what clients ask ----------------------------------------------------------------------------------------

    async def market(self, request: web.Request) -> web.WebSocketResponse:
        """/ws, /ws/<stream>[/<stream>...], /ws/<n>, /stream?streams=a/b"""
        wrapped = request.path == "/stream"
        names = request.query.get("streams", "") if wrapped else request.match_info.get("names", "")
        client = Client(request, wrapped=wrapped)
        self._follow(client, [name for name in names.split("/") if "@" in name])
        try:
            await client.talk(self._market_request)
        finally:
            self._unfollow(client, list(client.streams))
        return client.ws

    def _follow(self, client: Client, names: Iterable[str]) -> None:
        for name in names:
            if len(client.streams) < MAX_STREAMS:
                client.streams.add(name)
                self._market[name].add(client)

    def _unfollow(self, client: Client, names: Iterable[str]) -> None:
        for name in names:
            client.streams.discard(name)
            self._market[name].discard(client)

    def _market_request(self, client: Client, text: str) -> None:
        try:
            asked = msgspec.json.decode(text, type=MarketRequest)
        except msgspec.DecodeError as error:
            client.send(_text({"error": {"code": 3, "msg": f"Invalid JSON: {error}"}}))
            return
        result: list[str] | None = None
        if asked.method == "SUBSCRIBE":
            self._follow(client, asked.params)
        elif asked.method == "UNSUBSCRIBE":
            self._unfollow(client, asked.params)
        elif asked.method == "LIST_SUBSCRIPTIONS":
            result = sorted(client.streams)
        else:
            client.send(_text({"error": {"code": 2, "msg": "Invalid request: unknown method"}, "id": asked.id}))
            return
        client.send(_text({"result": result, "id": asked.id}))

    async def api(self, request: web.Request) -> web.WebSocketResponse:
        """/ws-api/v3: ping, time, userDataStream.subscribe.signature, userDataStream.unsubscribe"""
        client = Client(request, wrapped=False)
        try:
            await client.talk(self._api_request)
        finally:
            for clients in self._users.values():
                clients.pop(client, None)
        return client.ws

    def _api_request(self, client: Client, text: str) -> None:
        try:
            asked = msgspec.json.decode(text, type=ApiRequest)
        except msgspec.DecodeError:
            error = {"code": -1135, "msg": "Invalid JSON Request"}
            client.send(_text({"id": None, "status": 400, "error": error}))
            return
        try:
            result = self._api_answer(client, asked)
        except ApiError as error_:
            refusal = {"code": error_.code, "msg": error_.msg}
            client.send(_text({"id": asked.id, "status": error_.status, "error": refusal}))
            return
        client.send(_text({"id": asked.id, "status": 200, "result": result, "rateLimits": []}))

    def _api_answer(self, client: Client, asked: ApiRequest) -> object:
        match asked.method:
            case "ping":
                return {}
            case "time":
                return {"serverTime": replies.ms(time.time())}
            case "userDataStream.subscribe.signature":
                account = self._authenticate({key: str(value) for key, value in asked.params.items()})
                self._subscriptions += 1
                self._users[account][client] = self._subscriptions
                return {"subscriptionId": self._subscriptions}
            case "userDataStream.unsubscribe":
                for clients in self._users.values():
                    clients.pop(client, None)
                return {}
        raise ApiError(400, -1100, f"Unknown method '{asked.method}'.")

    def _authenticate(self, params: Mapping[str, str]) -> str:
        """The account of a signed WebSocket request: its parameters are signed in the order of their names."""
        account = self._keys.account(params.get("apiKey", ""))
        signing.check_window(params, replies.ms(time.time()))
        payload = "&".join(f"{key}={params[key]}" for key in sorted(params) if key != "signature")
        signing.check_signature(account.api_secret, payload, params.get("signature", ""))
        return account.name


class MarketRequest(msgspec.Struct):
    """A request on a market stream."""

    method: str
    id: int | str | None = None
    params: list[str] = []


class ApiRequest(msgspec.Struct):
    """A request on the WebSocket API."""

    method: str
    id: int | str | None = None
    params: dict[str, Any] = {}
