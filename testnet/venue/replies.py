"""What the venue says: orders, trades, balances and stream messages in Binance's words. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from stormdesk.testnet.venue import events
from stormdesk.testnet.venue.accounts import Balance
from stormdesk.testnet.venue.book import Book, Diff, Level
from stormdesk.testnet.venue.exchange import Happening, Order
from stormdesk.testnet.venue.market import FEE_RATE, Symbol, plain

Document = dict[str, Any]
STP = "EXPIRE_MAKER"
WEIGHT_LIMIT = 6000
ORDER_LIMIT_10S = 50
RATE_LIMITS = [
    {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": WEIGHT_LIMIT},
    {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": ORDER_LIMIT_10S},
    {"rateLimitType": "ORDERS", "interval": "DAY", "intervalNum": 1, "limit": 1_000_000},
]


def ms(t: float) -> int:
    """Seconds as whole milliseconds, rounded as the same instant always is."""
    return int(t * 1000)


def exchange_info(symbols: Iterable[Symbol], now: float) -> Document:
    return {
        "timezone": "UTC",
        "serverTime": ms(now),
        "rateLimits": RATE_LIMITS,
        "exchangeFilters": [],
        "symbols": [symbol.describe() for symbol in symbols],
    }


def _core(order: Order) -> Document:
    return {
        "symbol": order.symbol, "orderId": order.order_id, "orderListId": -1, "clientOrderId": order.client_order_id,
        "price": plain(order.price), "origQty": plain(order.qty), "executedQty": plain(order.executed),
        "origQuoteOrderQty": plain(Decimal(0)), "cummulativeQuoteQty": plain(order.quote_executed),
        "status": order.status, "timeInForce": order.tif, "type": order.type, "side": order.side,
        "selfTradePreventionMode": STP,
    }  # fmt: skip


def placed(order: Order, fills: Iterable[events.Trade], kind: str) -> Document:
    """The answer to a new order; `kind` is newOrderRespType: ACK, RESULT or FULL."""
    ack: Document = {
        "symbol": order.symbol,
        "orderId": order.order_id,
        "orderListId": -1,
        "clientOrderId": order.client_order_id,
        "transactTime": ms(order.updated),
    }
    if kind == "ACK":
        return ack
    result = {**_core(order), "transactTime": ms(order.updated), "workingTime": ms(order.t)}
    if kind == "RESULT":
        return result
    legs = [
        {"price": t.price, "qty": t.qty, "commission": t.fee, "commissionAsset": t.fee_asset, "tradeId": t.trade_id}
        for t in fills
    ]
    return {**result, "fills": legs}


def queried(order: Order) -> Document:
    """An order as GET order, openOrders and allOrders give it."""
    return {
        **_core(order), "stopPrice": plain(Decimal(0)), "icebergQty": plain(Decimal(0)), "time": ms(order.t),
        "updateTime": ms(order.updated), "isWorking": True, "workingTime": ms(order.t),
    }  # fmt: skip


def canceled(order: Order, cancel_id: str) -> Document:
    """The answer to a cancel; its client id is the cancel's own."""
    return {
        **_core(order),
        "origClientOrderId": order.client_order_id,
        "clientOrderId": cancel_id,
        "transactTime": ms(order.updated),
    }


def my_trade(trade: events.Trade) -> Document:
    return {
        "symbol": trade.symbol, "id": trade.trade_id, "orderId": trade.order_id, "orderListId": -1,
        "price": trade.price, "qty": trade.qty, "quoteQty": trade.quote_qty, "commission": trade.fee,
        "commissionAsset": trade.fee_asset, "time": ms(trade.t), "isBuyer": trade.side == "BUY",
        "isMaker": trade.maker, "isBestMatch": True,
    }  # fmt: skip


def public_trade(trade: events.Trade) -> Document:
    """A trade for everybody, from its taker's event."""
    return {
        "id": trade.trade_id, "price": trade.price, "qty": trade.qty, "quoteQty": trade.quote_qty,
        "time": ms(trade.t), "isBuyerMaker": trade.side == "SELL", "isBestMatch": True,
    }  # fmt: skip


def balances(held: Mapping[str, Balance]) -> list[Document]:
    return [{"asset": a, "free": plain(b.free), "locked": plain(b.locked)} for a, b in sorted(held.items())]


def account(held: Mapping[str, Balance], now: float) -> Document:
    rate, zero = plain(FEE_RATE), plain(Decimal(0))
    return {
        "makerCommission": 10, "takerCommission": 10, "buyerCommission": 0, "sellerCommission": 0,
        "commissionRates": {"maker": rate, "taker": rate, "buyer": zero, "seller": zero},
        "canTrade": True, "canWithdraw": False, "canDeposit": False, "brokered": False,
        "requireSelfTradePrevention": False, "preventSor": False, "updateTime": ms(now), "accountType": "SPOT",
        "balances": balances(held), "permissions": ["SPOT"], "uid": 1,
    }  # fmt: skip


def pairs(levels: Iterable[Level]) -> list[list[str]]:
    return [[plain(price), plain(qty)] for price, qty in levels]


def depth(book: Book, limit: int) -> Document:
    return {
        "lastUpdateId": book.update_id,
        "bids": pairs(book.levels("BUY", limit)),
        "asks": pairs(book.levels("SELL", limit)),
    }


def book_ticker(symbol: str, book: Book) -> Document:
    zero = (Decimal(0), Decimal(0))
    (bid, bid_qty), (ask, ask_qty) = book.best("BUY") or zero, book.best("SELL") or zero
    prices = {"bidPrice": plain(bid), "bidQty": plain(bid_qty), "askPrice": plain(ask), "askQty": plain(ask_qty)}
    return {"symbol": symbol, **prices}


# -- stream messages ---------------------------------------------------------------------------------------------


def trade_message(trade: events.Trade) -> Document:
    return {
        "e": "trade", "E": ms(trade.t), "s": trade.symbol, "t": trade.trade_id, "p": trade.price, "q": trade.qty,
        "T": ms(trade.t), "m": trade.side == "SELL", "M": True,
    }  # fmt: skip


def depth_message(symbol: str, diff: Diff, now: float) -> Document:
    return {
        "e": "depthUpdate", "E": ms(now), "s": symbol, "U": diff.first, "u": diff.last,
        "b": pairs(diff.bids), "a": pairs(diff.asks),
    }  # fmt: skip


def ticker_message(symbol: str, book: Book) -> Document:
    best = book_ticker(symbol, book)
    sides = {"b": best["bidPrice"], "B": best["bidQty"], "a": best["askPrice"], "A": best["askQty"]}
    return {"u": book.update_id, "s": symbol, **sides}


def execution_report(happening: Happening, order: Order) -> Document:
    """The user stream's message for one event of an order."""
    event = happening.event
    trade = event if isinstance(event, events.Trade) else None
    kind = {"ACCEPTED": "NEW", "TRADE": "TRADE", "CANCELED": "CANCELED", "EXPIRED": "EXPIRED"}
    zero = plain(Decimal(0))
    return {
        "e": "executionReport", "E": ms(event.t), "s": order.symbol, "c": order.client_order_id, "S": order.side,
        "o": order.type, "f": order.tif, "q": plain(order.qty), "p": plain(order.price), "P": zero, "F": zero,
        "g": -1, "C": "", "x": kind[event.__struct_config__.tag], "X": order.status, "r": "NONE",  # type: ignore[index]
        "i": order.order_id, "l": trade.qty if trade else zero, "z": plain(order.executed),
        "L": trade.price if trade else zero, "n": trade.fee if trade else "0",
        "N": trade.fee_asset if trade else None, "T": ms(event.t), "t": trade.trade_id if trade else -1, "I": 0,
        "w": order.is_open, "m": trade.maker if trade else False, "M": trade is not None, "O": ms(order.t),
        "Z": plain(order.quote_executed), "Y": trade.quote_qty if trade else zero, "Q": zero, "W": ms(order.t),
        "V": STP,
    }  # fmt: skip


def account_position(held: Mapping[str, Balance], assets: Iterable[str], now: float) -> Document:
    changed = [{"a": a, "f": plain(held[a].free), "l": plain(held[a].locked)} for a in sorted(assets) if a in held]
    return {"e": "outboundAccountPosition", "E": ms(now), "u": ms(now), "B": changed}
