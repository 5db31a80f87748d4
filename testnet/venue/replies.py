"""The venue's answers: orders, trades, balances and candles in Binance's format. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from stormdesk.testnet.venue import events
from stormdesk.testnet.venue.accounts import Balance
from stormdesk.testnet.venue.book import Book, Level
from stormdesk.testnet.venue.candles import MINUTE_MS, Candle
from stormdesk.testnet.venue.market import FEE_RATE, STP_MODES, Symbol, plain
from stormdesk.testnet.venue.record import Order
from stormdesk.testnet.venue.rules import Rules

Document = dict[str, Any]
STP = STP_MODES[0]


def ms(t: float) -> int:
    """Seconds as integer milliseconds, with the same rounding for the same instant."""
    return int(t * 1000)


def exchange_info(symbols: Iterable[Symbol], rules: Rules, now: float) -> Document:
    return {
        "timezone": "UTC",
        "serverTime": ms(now),
        "rateLimits": rules.describe(),
        "exchangeFilters": [],
        "symbols": [symbol.describe() for symbol in symbols],
    }


def _core(order: Order) -> Document:
    labels = {"strategyId": order.strategy_id, "strategyType": order.strategy_type}
    return {
        "symbol": order.symbol, "orderId": order.order_id, "orderListId": -1, "clientOrderId": order.client_order_id,
        "price": plain(order.price), "origQty": plain(order.qty), "executedQty": plain(order.executed),
        "origQuoteOrderQty": plain(order.quote_order_qty), "cummulativeQuoteQty": plain(order.quote_executed),
        "status": order.status, "timeInForce": order.tif, "type": order.type, "side": order.side,
        "selfTradePreventionMode": STP, **{name: label for name, label in labels.items() if label is not None},
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


def agg_trade(trade: events.Trade) -> Document:
    """A trade in the compressed form, from its taker's event."""
    return {
        "a": trade.trade_id, "p": trade.price, "q": trade.qty, "f": trade.trade_id, "l": trade.trade_id,
        "T": ms(trade.t), "m": trade.side == "SELL", "M": True,
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


def commission_rates() -> Document:
    """The answer to a test order that asked for its commission; there are no discounts, taxes or special fees."""
    rate, zero = plain(FEE_RATE), plain(Decimal(0))
    none = {"maker": zero, "taker": zero}
    return {
        "standardCommissionForOrder": {"maker": rate, "taker": rate}, "specialCommissionForOrder": none,
        "taxCommissionForOrder": none,
        "discount": {"enabledForAccount": False, "enabledForSymbol": False, "discountAsset": "", "discount": zero},
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


def price(symbol: str, candle: Candle) -> Document:
    return {"symbol": symbol, "price": plain(candle.close)}


def kline(candle: Candle, minutes: int) -> list[object]:
    return [
        candle.start, plain(candle.open), plain(candle.high), plain(candle.low), plain(candle.close),
        plain(candle.volume), candle.start + minutes * MINUTE_MS - 1, plain(candle.quote_volume), candle.count,
        plain(candle.taken), plain(candle.quote_taken), "0",
    ]  # fmt: skip


def day_ticker(symbol: str, day: Candle, book: Book, now: float) -> Document:
    """The last 24 hours; the average is weighted by volume."""
    change = day.close - day.open
    average = day.quote_volume / day.volume if day.volume else day.close
    return {
        **book_ticker(symbol, book), "priceChange": plain(change), "priceChangePercent": f"{change / day.open * 100:.3f}",
        "weightedAvgPrice": plain(average), "prevClosePrice": plain(day.open), "lastPrice": plain(day.close),
        "lastQty": plain(Decimal(0)), "openPrice": plain(day.open), "highPrice": plain(day.high),
        "lowPrice": plain(day.low), "volume": plain(day.volume), "quoteVolume": plain(day.quote_volume),
        "openTime": day.start, "closeTime": ms(now), "firstId": day.first_id, "lastId": day.last_id, "count": day.count,
    }  # fmt: skip


MINI = (
    "symbol", "openPrice", "highPrice", "lowPrice", "lastPrice", "volume", "quoteVolume", "openTime", "closeTime",
    "firstId", "lastId", "count",
)  # fmt: skip


def mini(ticker: Document) -> Document:
    """A day's ticker of the type MINI."""
    return {name: ticker[name] for name in MINI}


def trade_fee(symbol: str) -> Document:
    """An entry of /sapi/v1/asset/tradeFee."""
    return {
        "symbol": symbol,
        "makerCommission": f"{FEE_RATE.normalize()}",
        "takerCommission": f"{FEE_RATE.normalize()}",
    }
