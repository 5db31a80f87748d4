"""What an account may ask and do. Each handler takes the account's name and the parameters of one request."""

from __future__ import annotations

import secrets
import time
from bisect import bisect_left
from collections.abc import Sequence

from stormdesk.testnet.venue import errors, events, replies
from stormdesk.testnet.venue.desk import Desk
from stormdesk.testnet.venue.errors import ApiError
from stormdesk.testnet.venue.exchange import NewOrder
from stormdesk.testnet.venue.params import Params, amount, in_time, limit_of, whole
from stormdesk.testnet.venue.public import Public
from stormdesk.testnet.venue.record import Order

ORDER_TYPES = ("LIMIT", "MARKET", "LIMIT_MAKER")
RESPONSES = ("ACK", "RESULT", "FULL")
ID_CHARS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.:/_-")
ID_LENGTH = 36


def fresh_id() -> str:
    """A client order id for those who send none."""
    return secrets.token_urlsafe(16)[:22]


class Private:
    """The handlers of signed requests."""

    def __init__(self, desk: Desk, public: Public) -> None:
        self._desk = desk
        self._symbol = public.symbol

    # -- reading -------------------------------------------------------------------------------------------------

    def account(self, account: str, params: Params) -> object:
        held = self._desk.exchange.accounts.of(account)
        if params.get("omitZeroBalances") == "true":
            held = {asset: balance for asset, balance in held.items() if balance.free or balance.locked}
        return replies.account(held, self._desk.now())

    def query(self, account: str, params: Params) -> object:
        order = self._find(account, params)
        if order is None:
            raise ApiError(*errors.NO_SUCH_ORDER)
        return replies.queried(order)

    def open_orders(self, account: str, params: Params) -> object:
        symbol = self._symbol(params).name if "symbol" in params else None
        return [replies.queried(order) for order in self._desk.exchange.open_orders(account, symbol)]

    def all_orders(self, account: str, params: Params) -> object:
        name, limit = self._symbol(params).name, limit_of(params, 500, 1000)
        mine = [o for o in self._desk.exchange.orders.values() if (o.account, o.symbol) == (account, name)]
        mine = [order for order in mine if in_time(params, order.t)]
        if "orderId" in params:
            first = whole(params, "orderId")
            return [replies.queried(order) for order in mine if order.order_id >= first][:limit]
        return [replies.queried(order) for order in (mine[:limit] if "startTime" in params else mine[-limit:])]

    def my_trades(self, account: str, params: Params) -> object:
        mine, limit = self._desk.exchange.trades[account, self._symbol(params).name], limit_of(params, 500, 1000)
        return [replies.my_trade(trade) for trade in self._wanted(mine, params, limit)]

    def order_counts(self, account: str, _: Params) -> object:
        short, day = self._desk.limits.order_counts(account, time.time())
        counts = {"SECOND": short, "DAY": day}
        limits = [limit for limit in self._desk.rules.describe() if limit["rateLimitType"] == "ORDERS"]
        return [{**limit, "count": counts[str(limit["interval"])]} for limit in limits]

    def fees(self, _: str, params: Params) -> object:
        names = [self._symbol(params).name] if "symbol" in params else list(self._desk.exchange.symbols)
        return [replies.trade_fee(name) for name in names]

    # -- changing ------------------------------------------------------------------------------------------------

    def test(self, _: str, params: Params) -> object:
        self._new_order(params)
        return {}

    def place(self, account: str, params: Params) -> object:
        new = self._new_order(params)
        kind = params.get("newOrderRespType", "ACK" if new.type == "LIMIT_MAKER" else "FULL")
        if kind not in RESPONSES:
            raise errors.illegal("newOrderRespType")
        order = self._desk.submit(account, new)
        fills = []
        for trade in reversed(self._desk.exchange.trades[account, order.symbol]):
            if trade.order_id != order.order_id:
                break
            fills.append(trade)
        return replies.placed(order, reversed(fills), kind)

    def cancel(self, account: str, params: Params) -> object:
        order = self._find(account, params)
        if order is None:
            raise ApiError(*errors.UNKNOWN_CANCEL)
        self._desk.exchange.cancel(order, time.time())
        return replies.canceled(order, params.get("newClientOrderId") or fresh_id())

    def cancel_all(self, account: str, params: Params) -> object:
        orders = self._desk.exchange.open_orders(account, self._symbol(params).name)
        if not orders:
            raise ApiError(*errors.UNKNOWN_CANCEL)
        for order in orders:
            self._desk.exchange.cancel(order, time.time())
        return [replies.canceled(order, fresh_id()) for order in orders]

    # -- inside --------------------------------------------------------------------------------------------------

    def _find(self, account: str, params: Params) -> Order | None:
        symbol = self._symbol(params)
        order_id = whole(params, "orderId") if "orderId" in params else None
        if order_id is None and not params.get("origClientOrderId"):
            raise ApiError(400, -1102, "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!")
        return self._desk.exchange.find(account, symbol.name, order_id, params.get("origClientOrderId"))

    def _wanted(self, trades: Sequence[events.Trade], params: Params, limit: int) -> Sequence[events.Trade]:
        if "orderId" in params:
            order_id = whole(params, "orderId")
            trades = [trade for trade in trades if trade.order_id == order_id]
        if "startTime" in params or "endTime" in params:
            trades = [trade for trade in trades if in_time(params, trade.t)]
        if "fromId" in params:
            start = bisect_left(trades, whole(params, "fromId"), key=lambda trade: trade.trade_id)  # ids only grow
            return trades[start : start + limit]
        return trades[:limit] if "startTime" in params else trades[-limit:]

    def _new_order(self, params: Params) -> NewOrder:
        symbol = self._symbol(params)
        side, kind = params.get("side", ""), params.get("type", "")
        if side not in ("BUY", "SELL"):
            raise errors.invalid(-1117, "side") if side else errors.missing("side")
        if kind not in ORDER_TYPES:
            raise errors.invalid(-1116, "orderType") if kind else errors.missing("type")
        cid = params.get("newClientOrderId") or fresh_id()
        if len(cid) > ID_LENGTH or not set(cid) <= ID_CHARS:
            raise errors.illegal("newClientOrderId")
        qty = amount(params, "quantity")
        if kind == "MARKET":
            return NewOrder(cid, symbol, side, kind, qty)
        return NewOrder(cid, symbol, side, kind, qty, amount(params, "price"), _tif(params, kind))


def _tif(params: Params, kind: str) -> str:
    tif = params.get("timeInForce", "")
    if kind == "LIMIT_MAKER":
        return "GTC"
    if tif not in ("GTC", "IOC", "FOK"):
        raise errors.invalid(-1115, "timeInForce") if tif else errors.missing("timeInForce")
    return tif
