"""The trader's client of the venue: signed REST and the user stream. Everything has a deadline; nothing is sent twice except a
query that had a wrong timestamp."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import time
from collections.abc import AsyncIterator, Callable, Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import aiohttp
import msgspec
from yarl import URL

from stormdesk.testnet import answers
from stormdesk.testnet.answers import Answer, NotSentError, RefusedError, UnclearError
from stormdesk.testnet.resilience import Order
from stormdesk.testnet.trader.config import Config
from stormdesk.testnet.trader.metrics import Metrics
from stormdesk.testnet.trader.strategy import Instrument, Intent
from stormdesk.testnet.trader.throttle import Throttle
from stormdesk.testnet.watch import Watch, name_of

PING_S = 4.0  # of the user stream; a pong that is 2 s late ends the connection
SKEW = -1021
WEIGHTS = {
    ("GET", "time"): 1, ("GET", "exchangeInfo"): 20, ("POST", "order"): 1, ("DELETE", "order"): 1,
    ("GET", "order"): 4, ("GET", "openOrders"): 6, ("DELETE", "openOrders"): 1, ("GET", "myTrades"): 20,
    ("GET", "account"): 20, ("GET", "ws-api"): 2,
}  # fmt: skip
GONE = ("eventStreamTerminated", "listenKeyExpired", "serverShutdown")
Document = dict[str, Any]
Params = Mapping[str, str | int]


class Venue:
    """One account at the venue. Methods raise answers.RefusedError or answers.UnclearError."""

    def __init__(
        self, config: Config, order: Order, session: aiohttp.ClientSession, throttle: Throttle, metrics: Metrics
    ) -> None:
        self.watch = Watch()
        self.throttle = throttle
        self._order = order
        self._config = config
        self._session = session
        self._metrics = metrics
        self._offset_ms = 0  # the venue's clock minus ours
        self._headers = {"X-MBX-APIKEY": config.api_key}

    # -- public --------------------------------------------------------------------------------------------------

    async def probe(self) -> None:
        """Query the time, update the watch and the clock offset. Raises UnclearError."""
        sent = time.time()
        document = await self._ask("GET", "time", {}, self._order.connect_timeout_s)
        self._offset_ms = int(document["serverTime"] - (sent + time.time()) * 500)

    def now_ms(self) -> int:
        """The venue's clock, as of the last probe."""
        return int(time.time() * 1000) + self._offset_ms

    async def instruments(self) -> list[Instrument]:
        """The configured symbols, from exchangeInfo."""
        names = ",".join(f'"{name}"' for name in self._config.symbols)
        info = await self._ask("GET", "exchangeInfo", {"symbols": f"[{names}]"})
        return [_instrument(entry) for entry in info["symbols"]]

    # -- signed --------------------------------------------------------------------------------------------------

    async def place(self, intent: Intent, may: Callable[[], bool]) -> Document:
        """Send an order, once. `may` is called after signing: if the process is paused after that, the venue no longer accepts the
        request."""
        params = {
            "symbol": intent.symbol,
            "side": intent.side,
            "type": intent.type,
            "quantity": f"{intent.qty:f}",
            "newClientOrderId": intent.client_order_id,
        }
        if intent.type == "LIMIT":
            params |= {"price": f"{intent.price:f}", "timeInForce": "GTC"}
        answer: Document = await self._signed("POST", "order", params, may)
        return answer

    async def cancel(self, symbol: str, client_order_id: str) -> Document:
        """Cancel an open order; RefusedError -2011 when it is not open."""
        params = {"symbol": symbol, "origClientOrderId": client_order_id}
        answer: Document = await self._signed("DELETE", "order", params)
        return answer

    async def query(self, symbol: str, **which: str | int) -> Document:
        """An order by `origClientOrderId` or `orderId`; RefusedError -2013 when there is none."""
        answer: Document = await self._signed("GET", "order", {"symbol": symbol, **which})
        return answer

    async def open_orders(self, symbol: str) -> list[Document]:
        answer: list[Document] = await self._signed("GET", "openOrders", {"symbol": symbol})
        return answer

    async def cancel_all(self, symbol: str) -> list[Document]:
        """Cancel all open orders of a symbol, from any sender; RefusedError -2011 when there are none."""
        answer: list[Document] = await self._signed("DELETE", "openOrders", {"symbol": symbol})
        return answer

    async def my_trades(self, symbol: str, from_id: int | None = None) -> list[Document]:
        """Up to 1000 trades from that trade id on, or the latest, oldest first."""
        params: dict[str, str | int] = {"symbol": symbol, "limit": 1000}
        if from_id is not None:
            params["fromId"] = from_id
        answer: list[Document] = await self._signed("GET", "myTrades", params)
        return answer

    async def last_trade(self, symbol: str) -> int:
        """The id of our latest trade, 0 when there is none."""
        trades = await self._signed("GET", "myTrades", {"symbol": symbol, "limit": 1})
        return trades[-1]["id"] if trades else 0

    async def account(self) -> Document:
        answer: Document = await self._signed("GET", "account", {})
        return answer

    async def balances(self) -> dict[str, Decimal]:
        """Free and locked together, by asset."""
        return totals(await self.account())

    async def reports(self) -> AsyncIterator[Document | None]:
        """Events of the user stream over one connection; the first one is None and means that it is subscribed.

        Raises VenueError when the connection ends, falls silent, or must not be tried now.
        """
        url = f"{self._config.venue_ws}/ws-api/v3"
        await self.throttle.request(WEIGHTS["GET", "ws-api"], urgent=False)
        try:
            async with asyncio.timeout(self._order.connect_timeout_s):
                socket = await self._session.ws_connect(
                    url, heartbeat=PING_S, timeout=aiohttp.ClientWSTimeout(ws_close=0.5)
                )
            async with socket:
                await socket.send_str(self._subscription())
                async for message in socket:
                    if message.type is not aiohttp.WSMsgType.TEXT:  # a pong that is late arrives as an ERROR message
                        raise UnclearError(f"user stream: {message.type.name} {message.data}")
                    document = msgspec.json.decode(message.data)
                    if "error" in document:
                        raise UnclearError(f"user stream refused: {document['error']}")
                    event = document.get("event")
                    if event is not None and event["e"] in GONE:
                        raise UnclearError(f"user stream: {event['e']}")
                    yield event
        except (aiohttp.ClientError, OSError, TimeoutError, msgspec.DecodeError) as error:
            raise UnclearError(f"user stream: {name_of(error)}") from error
        raise UnclearError("user stream: the venue closed it")

    # -- inside --------------------------------------------------------------------------------------------------

    async def _signed(self, method: str, path: str, params: Params, may: Callable[[], bool] = lambda: True) -> Any:
        """A signed request. If it is refused for its timestamp, the venue's clock is read and a query is repeated. An order is not:
        it was refused, and the next one has the right time."""
        signed = self._stamped(params)
        if not may():
            raise NotSentError("the leader lock went before the send", 0.0)
        try:
            return await self._ask(method, path, signed)
        except RefusedError as error:
            if error.code != SKEW:
                raise
            await self.probe()
            if method == "POST":
                raise
        return await self._ask(method, path, self._stamped(params))

    def _stamped(self, params: Params) -> Params:
        return self._sign({**params, "recvWindow": self._order.recv_window_ms, "timestamp": self.now_ms()})

    def _sign(self, params: Params) -> dict[str, str | int]:
        digest = hmac.new(self._config.api_secret.encode(), urlencode(params).encode(), hashlib.sha256)
        return {**params, "signature": digest.hexdigest()}

    def _subscription(self) -> str:
        params = self._sign({"apiKey": self._config.api_key, "timestamp": self.now_ms()})
        request = {"id": 1, "method": "userDataStream.subscribe.signature", "params": params}
        return msgspec.json.encode(request).decode()

    async def _ask(self, method: str, path: str, params: Params, timeout_s: float = 0.0) -> Any:
        """One request. The watch records whether the venue answered at all; a 5xx counts as no answer only on the probe."""
        await self.throttle.request(WEIGHTS[method, path], urgent=method == "DELETE" or path in ("time", "openOrders"))
        if method != "GET":
            self.throttle.message(places=method == "POST")
        started = time.monotonic()
        url = f"{self._config.venue_rest}/api/v3/{path}"
        body = urlencode(params) if method == "POST" else None
        headers = self._headers | ({"Content-Type": "application/x-www-form-urlencoded"} if body else {})
        target = URL(url if body else f"{url}?{urlencode(params)}", encoded=True)  # exactly the signed bytes
        limit = aiohttp.ClientTimeout(
            total=timeout_s or self._order.request_timeout_s, sock_connect=self._order.connect_timeout_s
        )
        try:
            async with self._session.request(method, target, headers=headers, timeout=limit, data=body) as response:
                answer = Answer(response.status, await response.read(), response.headers.get("Retry-After", ""))
                self.throttle.hear(response.headers)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            self.watch.bad(name_of(error))
            raise UnclearError(name_of(error)) from error
        took_s = time.monotonic() - started
        self._metrics.request.observe(took_s)
        if answer.status < 500:
            self.watch.good(took_s, started + took_s)
        elif path == "time":
            self.watch.bad(f"HTTP {answer.status}")
        if answer.status in (418, 429):
            await self.throttle.refused(answer.retry_after)
        else:
            self.throttle.accepted()
        return answers.read(answer)


def totals(account: Document) -> dict[str, Decimal]:
    """Free and locked together, by asset."""
    return {b["asset"]: Decimal(b["free"]) + Decimal(b["locked"]) for b in account["balances"]}


def _instrument(entry: Document) -> Instrument:
    filters = {f["filterType"]: f for f in entry["filters"]}
    tick, step = filters["PRICE_FILTER"]["tickSize"], filters["LOT_SIZE"]["stepSize"]
    return Instrument(
        entry["symbol"], entry["baseAsset"], entry["quoteAsset"], Decimal(tick).normalize(), Decimal(step).normalize()
    )
