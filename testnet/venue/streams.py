"""The market streams: subscriptions and their messages."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence

from aiohttp import WSCloseCode, web

from stormdesk.testnet.venue import events, market_requests, messages
from stormdesk.testnet.venue.book import Book
from stormdesk.testnet.venue.breakpoints import Breakpoints
from stormdesk.testnet.venue.errors import ApiError
from stormdesk.testnet.venue.exchange import Exchange, Happening
from stormdesk.testnet.venue.faults.active_faults import ActiveFaults
from stormdesk.testnet.venue.faults.model import Document
from stormdesk.testnet.venue.market_requests import BadRequestError, MarketRequest
from stormdesk.testnet.venue.record import HOUSE
from stormdesk.testnet.venue.rules import Rules
from stormdesk.testnet.venue.sockets import Client, text_of
from stormdesk.testnet.venue.users import Users

SLOW_TICKS = 10  # ticks between two messages of the slow streams: @depth, @ticker, @miniTicker, @kline_1m


class Hub:
    """All connections, the market streams, and the user streams' events."""

    def __init__(
        self, exchange: Exchange, users: Users, rules: Rules, faults: ActiveFaults, breakpoints: Breakpoints
    ) -> None:
        self.clients: set[Client] = set()
        self.dropped: Counter[str] = Counter()
        self._exchange = exchange
        self._users = users
        self._rules = rules
        self._faults = faults
        self._breakpoints = breakpoints
        self._waiting: list[Callable[[], None]] = []  # requests that came while the venue was frozen
        self._market: dict[str, set[Client]] = defaultdict(set)
        self._tops: dict[str, tuple[object, object]] = {}
        self._slow = {symbol: book.reader() for symbol, book in exchange.books.items()}
        self._ticks = 0

    # -- publishing --------------------------------------------------------------------------------------------

    def publish(self, happenings: Iterable[Happening]) -> None:
        """Publish trades to all, and executions to their accounts."""
        for happening in happenings:
            event = happening.event
            if isinstance(event, events.Trade) and not event.maker:
                name = event.symbol.lower()
                self._tell(f"{name}@trade", lambda e=event: messages.trade(e))  # type: ignore[misc]
                self._tell(f"{name}@aggTrade", lambda e=event: messages.agg_trade(e))  # type: ignore[misc]
            elif isinstance(event, events.Transfer):
                self._users.tell(event.account, messages.balance_update(event))
            if happening.order is not None:
                self._report(happening)

    def tick(self, now: float) -> None:
        """Answer deferred requests, publish the books' changes since the last tick, and every SLOW_TICKS the slow streams."""
        waiting, self._waiting = self._waiting, []
        for answer in waiting:
            answer()
        self._ticks += 1
        slow = self._ticks % SLOW_TICKS == 0
        for symbol, book in self._exchange.books.items():
            name = symbol.lower()
            if diff := book.diff():
                self._tell(f"{name}@depth@100ms", lambda s=symbol, d=diff: messages.depth(s, d, now))  # type: ignore[misc]
                self._tell_top(symbol)
            if slow:
                self._tell_slow(symbol, book, now)
        if slow:
            self._users.expire(now)

    def _tell_slow(self, symbol: str, book: Book, now: float) -> None:
        name, chart = symbol.lower(), self._exchange.chart(symbol)
        if diff := book.diff(self._slow[symbol]):
            self._tell(f"{name}@depth", lambda: messages.depth(symbol, diff, now))
        self._tell(f"{name}@ticker", lambda: messages.ticker(symbol, chart.day(now), book, now))
        self._tell(f"{name}@miniTicker", lambda: messages.mini_ticker(symbol, chart.day(now), now))
        self._tell(f"{name}@kline_1m", lambda: messages.kline(symbol, chart.last(1, 1, now)[0], now))

    def _tell_top(self, symbol: str) -> None:
        book = self._exchange.books[symbol]
        best = (book.best("BUY"), book.best("SELL"))
        if self._tops.get(symbol) != best:
            self._tops[symbol] = best
            self._tell(f"{symbol.lower()}@bookTicker", lambda: messages.book_ticker(symbol, book))

    def _tell(self, stream: str, make: Callable[[], Document]) -> None:
        clients = self._market.get(stream)
        if not clients:
            return
        for document in self._faults.market(stream, make(), time.monotonic()):
            raw = text_of(document)
            wrapped = text_of({"stream": stream, "data": document})
            for client in clients:
                client.send(wrapped if client.wrapped else raw)

    def _report(self, happening: Happening) -> None:
        order = happening.order
        if order is None or order.account == HOUSE or not self._users.listening(order.account):
            return
        symbol = self._exchange.symbols[order.symbol]
        held = self._exchange.accounts.of(order.account)
        account, report = order.account, messages.execution_report(happening, order)
        position = messages.account_position(held, (symbol.base, symbol.quote), happening.event.t)

        def tell() -> None:
            self._users.tell(account, report)
            self._users.tell(account, position)

        if (kept := self._breakpoints.holding(order.order_id)) is not None:
            kept.later.append(tell)
        else:
            tell()

    # -- connections ---------------------------------------------------------------------------------------------

    async def serve(self, client: Client, answer: Callable[[Client, str], None]) -> web.WebSocketResponse:
        """Serve a client until the connection ends. While the venue is frozen nothing is answered."""

        def awake(client: Client, text: str) -> None:
            if self._faults.frozen(time.monotonic()):
                self._waiting.append(lambda: answer(client, text))
            else:
                answer(client, text)

        self.clients.add(client)
        try:
            await client.talk(awake)
        finally:
            self.clients.discard(client)
            self._users.forget(client)
            self._unfollow(client, list(client.streams))
        return client.ws

    async def farewell(self) -> None:
        """Announce the shutdown to all clients, and close."""
        clients, event = list(self.clients), {"e": "serverShutdown", "E": int(time.time() * 1000)}
        for client in clients:
            client.send(text_of({"event": event} if client.api else event))
        await asyncio.sleep(self._rules.farewell_s if clients else 0.0)
        await asyncio.gather(*(client.close(WSCloseCode.GOING_AWAY, "shutdown") for client in clients))

    async def market(self, request: web.Request) -> web.WebSocketResponse:
        """/ws, /ws/<stream>[/<stream>...], /ws/<n>, /stream?streams=a/b. Raises ApiError for an unknown stream."""
        wrapped = request.path == "/stream"
        path = request.query.get("streams", "") if wrapped else request.path.removeprefix("/ws").lstrip("/")
        names = [] if path.isdigit() and not wrapped else [name for name in path.split("/") if name]
        client = Client(request, self._rules, self.dropped, per_s=self._rules.messages_per_s, wrapped=wrapped)
        if refusal := self._follow(client, names):
            raise ApiError(400, 2, refusal)
        return await self.serve(client, self._answer)

    def _follow(self, client: Client, names: Sequence[str]) -> str:
        """Subscribe to market streams and listen keys: to all of these names, or to none, and return why."""
        market = {name for name in names if market_requests.is_stream(name, self._exchange.symbols)}
        for name in names:
            if name not in market and not self._users.is_key(name):
                return market_requests.unknown_stream(name)
        if len(client.streams | market) > self._rules.streams:
            return "Invalid request: too many parameters"
        for name in names:
            if name in market:
                client.streams.add(name)
                self._market[name].add(client)
            else:
                self._users.follow(client, name)
        return ""

    def _unfollow(self, client: Client, names: Iterable[str]) -> None:
        for name in names:
            client.streams.discard(name)
            self._market[name].discard(client)
            if not self._market[name]:
                del self._market[name]

    def _answer(self, client: Client, text: str) -> None:
        try:
            asked = market_requests.read(text)
            result = self._result(client, asked)
        except BadRequestError as error:
            client.send(text_of({"error": {"code": error.code, "msg": error.msg}, "id": error.request_id}))
        else:
            client.send(text_of({"result": result, "id": asked.request_id}))

    def _result(self, client: Client, asked: MarketRequest) -> object:
        """Execute a market request; returns its result. Raises BadRequestError."""
        match asked.method:
            case "SUBSCRIBE":
                if refusal := self._follow(client, asked.params):
                    raise BadRequestError(2, refusal, asked.request_id)
            case "UNSUBSCRIBE":
                self._unfollow(client, set(asked.params) & client.streams)
                self._users.unfollow(client, set(asked.params))
            case "LIST_SUBSCRIPTIONS":
                return sorted(client.streams)
            case "SET_PROPERTY":
                client.wrapped = asked.params[1]
            case "GET_PROPERTY":
                return client.wrapped
        return None
