"""The REST interface: /api/v3 of Binance Spot."""

from __future__ import annotations

import secrets
import time
from bisect import bisect_left
from collections.abc import Callable, Mapping
from decimal import Decimal
from urllib.parse import parse_qsl

from aiohttp import web
from aiohttp.typedefs import Handler

from stormdesk.testnet.service import json_response
from stormdesk.testnet.venue import errors, events, market, replies, signing
from stormdesk.testnet.venue.desk import Desk
from stormdesk.testnet.venue.errors import ApiError
from stormdesk.testnet.venue.exchange import NewOrder, Order
from stormdesk.testnet.venue.limits import Limits
from stormdesk.testnet.venue.market import Symbol

Params = Mapping[str, str]
Public = Callable[[Params], object]
Private = Callable[[str, Params], object]
ORDER_TYPES = ("LIMIT", "MARKET", "LIMIT_MAKER")
ID_CHARS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.:/_-")


class Rest:
    """The handlers. A request is read, charged, authenticated and answered in one go: nothing comes in between."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._limits = Limits()

    def routes(self) -> list[web.RouteDef]:
        public: list[tuple[str, int, Public]] = [
            ("ping", 1, lambda _: {}),
            ("time", 1, lambda _: {"serverTime": replies.ms(time.time())}),
            ("exchangeInfo", 20, self._exchange_info),
            ("depth", 5, self._depth),
            ("trades", 25, self._trades),
            ("historicalTrades", 25, self._historical_trades),
            ("ticker/price", 2, self._price),
            ("ticker/bookTicker", 2, self._book_ticker),
        ]
        private: list[tuple[str, str, int, Private]] = [
            ("GET", "account", 20, self._account),
            ("GET", "order", 4, self._query),
            ("GET", "openOrders", 6, self._open_orders),
            ("GET", "allOrders", 20, self._all_orders),
            ("GET", "myTrades", 20, self._my_trades),
        ]
        orders: list[tuple[str, str, Private]] = [
            ("POST", "order", self._place),
            ("DELETE", "order", self._cancel),
            ("DELETE", "openOrders", self._cancel_all),
        ]
        return [
            *(web.get(f"/api/v3/{path}", self._open_to_all(weight, do)) for path, weight, do in public),
            *(web.route(method, f"/api/v3/{path}", self._signed(weight, do)) for method, path, weight, do in private),
            *(web.route(method, f"/api/v3/{path}", self._ordering(do)) for method, path, do in orders),
            web.get("/ws", self._desk.hub.market),
            web.get("/ws/{names:.*}", self._desk.hub.market),
            web.get("/stream", self._desk.hub.market),
            web.get("/ws-api/v3", self._desk.hub.api),
        ]

    @web.middleware
    async def speak(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Turn errors into the venue's JSON, and say how much weight was used."""
        now = time.time()
        try:
            response = await handler(request)
        except ApiError as error:
            response = json_response({"code": error.code, "msg": error.msg}, error.status)
            if error.status == 429:
                response.headers["Retry-After"] = str(60 - int(now) % 60)
        except web.HTTPException as error:
            response = json_response({"code": -1000, "msg": error.reason}, error.status)
        if not response.prepared:
            response.headers["X-MBX-USED-WEIGHT-1M"] = str(self._limits.used(request.remote or "", now))
        return response

    # -- how a request becomes an answer -------------------------------------------------------------------------

    def _open_to_all(self, weight: int, do: Public) -> Handler:
        async def handler(request: web.Request) -> web.Response:
            self._charge(request, weight)
            return json_response(do(request.query))

        return handler

    def _signed(self, weight: int, do: Private) -> Handler:
        async def handler(request: web.Request) -> web.Response:
            self._charge(request, weight)
            body = await request.text()
            return json_response(do(self._authenticate(request, body), await _params(request)))

        return handler

    def _ordering(self, do: Private) -> Handler:
        """Requests that change orders: noted in the journal before they are judged, and again when refused."""

        async def handler(request: web.Request) -> web.Response:
            body, params = await request.text(), dict(await _params(request))
            placing = request.method == "POST"
            cid = params.get("newClientOrderId" if placing else "origClientOrderId", "")
            if placing and not cid:
                cid = params["newClientOrderId"] = secrets.token_urlsafe(16)[:22]
            claimed = self._desk.keys.name(request.headers.get("X-MBX-APIKEY", ""))
            noted = events.Request(
                t=time.time(), method=request.method, client_order_id=cid, account=claimed, remote=request.remote or ""
            )
            self._desk.note(noted)
            try:
                self._charge(request, 1)
                account = self._authenticate(request, body)
                headers = self._limits.order(account, time.time()) if placing else {}
                answer = do(account, params)
            except ApiError as error:
                if placing:
                    self._desk.note(
                        events.Rejected(
                            t=time.time(), client_order_id=cid, account=claimed, code=error.code, msg=error.msg
                        )
                    )
                raise
            self._desk.commit()
            response = json_response(answer)
            response.headers.update(headers)
            return response

        return handler

    def _charge(self, request: web.Request, weight: int) -> None:
        self._limits.charge(request.remote or "", weight, time.time())

    def _authenticate(self, request: web.Request, body: str) -> str:
        """The name of the account that signed. Raises ApiError as Binance does, in its order."""
        account = self._desk.keys.account(request.headers.get("X-MBX-APIKEY", ""))
        raw = request.rel_url.raw_query_string
        params = {**dict(request.query), **_form(body)}
        if not params.get("signature"):
            raise errors.missing("signature")
        signing.check_window(params, replies.ms(time.time()))
        payload = signing.without_signature(raw) + signing.without_signature(body)
        signing.check_signature(account.api_secret, payload, params["signature"])
        return account.name

    # -- public --------------------------------------------------------------------------------------------------

    def _symbol(self, params: Params) -> Symbol:
        if not params.get("symbol"):
            raise errors.missing("symbol")
        symbol = self._desk.exchange.symbols.get(params["symbol"])
        if symbol is None:
            raise ApiError(*errors.BAD_SYMBOL)
        return symbol

    def _named(self, params: Params) -> list[Symbol]:
        """The one symbol of a request, or all of them."""
        return [self._symbol(params)] if "symbol" in params else list(self._desk.exchange.symbols.values())

    def _exchange_info(self, params: Params) -> object:
        wanted = self._named(params)
        if "symbols" in params:
            names = params["symbols"].strip("[]").replace('"', "").split(",")
            wanted = [self._symbol({"symbol": name}) for name in names]
        return replies.exchange_info(wanted, time.time())

    def _depth(self, params: Params) -> object:
        return replies.depth(self._desk.exchange.books[self._symbol(params).name], _limit(params, 100, 5000))

    def _trades(self, params: Params) -> object:
        prints = list(self._desk.exchange.prints[self._symbol(params).name])[-_limit(params, 500, 1000) :]
        return [replies.public_trade(trade) for trade in prints]

    def _historical_trades(self, params: Params) -> object:
        """Public trades from an id on, oldest first; the venue still has the latest ones only."""
        if "fromId" not in params:
            return self._trades(params)
        first, limit = signing.whole(params, "fromId"), _limit(params, 500, 1000)
        prints = self._desk.exchange.prints[self._symbol(params).name]
        return [replies.public_trade(trade) for trade in prints if trade.trade_id >= first][:limit]

    def _price(self, params: Params) -> object:
        prints = self._desk.exchange.prints
        found = [
            {"symbol": s.name, "price": prints[s.name][-1].price if prints[s.name] else market.plain(s.start)}
            for s in self._named(params)
        ]
        return found[0] if "symbol" in params else found

    def _book_ticker(self, params: Params) -> object:
        books = self._desk.exchange.books
        found = [replies.book_ticker(s.name, books[s.name]) for s in self._named(params)]
        return found[0] if "symbol" in params else found

    # -- signed, reading -----------------------------------------------------------------------------------------

    def _account(self, account: str, _: Params) -> object:
        return replies.account(self._desk.exchange.accounts.of(account), time.time())

    def _query(self, account: str, params: Params) -> object:
        order = self._find(account, params)
        if order is None:
            raise ApiError(*errors.NO_SUCH_ORDER)
        return replies.queried(order)

    def _find(self, account: str, params: Params) -> Order | None:
        symbol = self._symbol(params)
        order_id = signing.whole(params, "orderId") if "orderId" in params else None
        if order_id is None and not params.get("origClientOrderId"):
            raise ApiError(400, -1102, "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!")
        return self._desk.exchange.find(account, symbol.name, order_id, params.get("origClientOrderId"))

    def _open_orders(self, account: str, params: Params) -> object:
        symbol = self._symbol(params).name if "symbol" in params else None
        return [replies.queried(order) for order in self._desk.exchange.open_orders(account, symbol)]

    def _all_orders(self, account: str, params: Params) -> object:
        name, limit = self._symbol(params).name, _limit(params, 500, 1000)
        mine = [o for o in self._desk.exchange.orders.values() if (o.account, o.symbol) == (account, name)]
        if "orderId" in params:
            first = signing.whole(params, "orderId")
            return [replies.queried(order) for order in mine if order.order_id >= first][:limit]
        return [replies.queried(order) for order in mine[-limit:]]

    def _my_trades(self, account: str, params: Params) -> object:
        mine, limit = self._desk.exchange.trades[account, self._symbol(params).name], _limit(params, 500, 1000)
        if "orderId" in params:
            order_id = signing.whole(params, "orderId")
            mine = [trade for trade in mine if trade.order_id == order_id]
        if "fromId" in params:
            first = signing.whole(params, "fromId")
            start = bisect_left(mine, first, key=lambda trade: trade.trade_id)  # ids only grow
            return [replies.my_trade(trade) for trade in mine[start : start + limit]]
        return [replies.my_trade(trade) for trade in mine[-limit:]]

    # -- signed, changing ----------------------------------------------------------------------------------------

    def _place(self, account: str, params: Params) -> object:
        new = self._new_order(params)
        order = self._desk.exchange.submit(account, new, time.time())
        fills = [t for t in self._desk.exchange.trades[account, order.symbol][-50:] if t.order_id == order.order_id]
        return replies.placed(order, fills, params.get("newOrderRespType", "FULL"))

    def _new_order(self, params: Params) -> NewOrder:
        symbol = self._symbol(params)
        side, kind = params.get("side", ""), params.get("type", "")
        if side not in ("BUY", "SELL"):
            raise errors.invalid(-1117, "side") if side else errors.missing("side")
        if kind not in ORDER_TYPES:
            raise errors.invalid(-1116, "orderType") if kind else errors.missing("type")
        if not params.get("quantity"):
            raise errors.missing("quantity")
        cid = params["newClientOrderId"]
        if len(cid) > 36 or not set(cid) <= ID_CHARS:
            raise errors.illegal("newClientOrderId")
        qty = market.amount(params["quantity"], "quantity")
        if kind == "MARKET":
            return NewOrder(cid, symbol, side, kind, qty)
        return NewOrder(cid, symbol, side, kind, qty, self._price_of(params), _tif(params, kind))

    def _price_of(self, params: Params) -> Decimal:
        if not params.get("price"):
            raise errors.missing("price")
        return market.amount(params["price"], "price")

    def _cancel(self, account: str, params: Params) -> object:
        order = self._find(account, params)
        if order is None:
            raise ApiError(*errors.UNKNOWN_CANCEL)
        self._desk.exchange.cancel(order, time.time())
        return replies.canceled(order, params.get("newClientOrderId", secrets.token_urlsafe(16)[:22]))

    def _cancel_all(self, account: str, params: Params) -> object:
        orders = self._desk.exchange.open_orders(account, self._symbol(params).name)
        if not orders:
            raise ApiError(*errors.UNKNOWN_CANCEL)
        for order in orders:
            self._desk.exchange.cancel(order, time.time())
        return [replies.canceled(order, secrets.token_urlsafe(16)[:22]) for order in orders]


def _tif(params: Params, kind: str) -> str:
    tif = params.get("timeInForce", "")
    if kind == "LIMIT_MAKER":
        return "GTC"
    if tif not in ("GTC", "IOC", "FOK"):
        raise errors.invalid(-1115, "timeInForce") if tif else errors.missing("timeInForce")
    return tif


def _limit(params: Params, default: int, most: int) -> int:
    return max(1, min(signing.whole(params, "limit"), most)) if "limit" in params else default


def _form(body: str) -> dict[str, str]:
    return dict(parse_qsl(body, keep_blank_values=True))


async def _params(request: web.Request) -> Params:
    """Query and body together: clients put their parameters in either."""
    return {**dict(request.query), **_form(await request.text())}


def venue_app(desk: Desk) -> web.Application:
    """The venue's public side: REST and WebSockets on one port."""
    rest = Rest(desk)
    app = web.Application(middlewares=[rest.speak], client_max_size=65_536)
    app.add_routes(rest.routes())
    return app
