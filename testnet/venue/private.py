"""Requests of an account. Each handler takes the account's name and the validated parameters of one request."""

from __future__ import annotations

import secrets
import time
from bisect import bisect_left
from collections.abc import Sequence

from stormdesk.testnet.venue import errors, events, replies
from stormdesk.testnet.venue.errors import ApiError
from stormdesk.testnet.venue.order_entry import Desk
from stormdesk.testnet.venue.order_parameters import check_order
from stormdesk.testnet.venue.params import Params, amount, check_day, in_time, integer, is_true, limit_of
from stormdesk.testnet.venue.public import Public
from stormdesk.testnet.venue.record import NewOrder, Order

TRADE_COMBINATIONS: tuple[set[str], ...] = (
    set(), {"orderId"}, {"startTime"}, {"endTime"}, {"fromId"}, {"startTime", "endTime"}, {"orderId", "fromId"},
)  # fmt: skip
RESTRICTIONS = {"ONLY_NEW": "NEW", "ONLY_PARTIALLY_FILLED": "PARTIALLY_FILLED"}


def fresh_id() -> str:
    """A client order id for requests without one."""
    return secrets.token_urlsafe(16)[:22]


class Private:
    """The handlers of signed requests."""

    def __init__(self, desk: Desk, public: Public) -> None:
        self._desk = desk
        self._symbol = public.symbol

    # -- reading -------------------------------------------------------------------------------------------------

    def account(self, account: str, params: Params) -> object:
        held = self._desk.exchange.accounts.of(account)
        if is_true(params, "omitZeroBalances"):
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
        check_day(params)
        mine = [o for o in self._desk.exchange.orders.values() if (o.account, o.symbol) == (account, name)]
        mine = [order for order in mine if in_time(params, order.t)]
        if "orderId" in params:
            first = integer(params, "orderId")
            return [replies.queried(order) for order in mine if order.order_id >= first][:limit]
        return [replies.queried(order) for order in (mine[:limit] if "startTime" in params else mine[-limit:])]

    def my_trades(self, account: str, params: Params) -> object:
        if set(params) & {"orderId", "fromId", "startTime", "endTime"} not in TRADE_COMBINATIONS:
            raise ApiError(*errors.BAD_COMBINATION)
        check_day(params)
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
        self._desk.exchange.check(self._new_order(params))
        return replies.commission_rates() if is_true(params, "computeCommissionRates") else {}

    def place(self, account: str, params: Params) -> object:
        new = self._new_order(params)
        kind = params.get("newOrderRespType", "ACK" if new.type == "LIMIT_MAKER" else "FULL")
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
        wanted = RESTRICTIONS.get(params.get("cancelRestrictions", ""), order.status)
        if order.is_open and order.status != wanted:
            raise ApiError(*errors.RESTRICTED)
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
        symbol, cid = self._symbol(params), params.get("origClientOrderId")
        order_id = integer(params, "orderId") if "orderId" in params else None
        if order_id is None and cid is None:
            raise errors.neither("origClientOrderId", "orderId")
        order = self._desk.exchange.find(account, symbol.name, order_id, cid)
        if order and cid is not None and order.client_order_id != cid:
            raise ApiError(*errors.OTHER_ID)
        return order

    def _wanted(self, trades: Sequence[events.Trade], params: Params, limit: int) -> Sequence[events.Trade]:
        if "orderId" in params:
            order_id = integer(params, "orderId")
            trades = [trade for trade in trades if trade.order_id == order_id]
        if "startTime" in params or "endTime" in params:
            trades = [trade for trade in trades if in_time(params, trade.t)]
        if "fromId" in params:
            start = bisect_left(trades, integer(params, "fromId"), key=lambda trade: trade.trade_id)  # ids are ascending
            return trades[start : start + limit]
        return trades[:limit] if "startTime" in params else trades[-limit:]

    def _new_order(self, params: Params) -> NewOrder:
        symbol, kind = self._symbol(params), params["type"]
        check_order(params)
        return NewOrder(
            client_order_id=params.get("newClientOrderId") or fresh_id(),
            symbol=symbol,
            side=params["side"],
            type=kind,
            qty=amount(params, "quantity"),
            price=amount(params, "price") if "price" in params else None,
            tif=params.get("timeInForce", "GTC"),
            quote_qty=amount(params, "quoteOrderQty"),
            strategy_id=integer(params, "strategyId") if "strategyId" in params else None,
            strategy_type=integer(params, "strategyType") if "strategyType" in params else None,
        )
