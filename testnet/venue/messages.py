"""Stream messages: trades, books, candles and executions in Binance's format. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from stormdesk.testnet.venue import events, replies
from stormdesk.testnet.venue.accounts import Balance
from stormdesk.testnet.venue.book import Book, Diff
from stormdesk.testnet.venue.candles import Candle
from stormdesk.testnet.venue.exchange import Happening
from stormdesk.testnet.venue.market import ZERO, plain
from stormdesk.testnet.venue.record import Order
from stormdesk.testnet.venue.replies import STP, Document, ms, pairs


def trade(trade: events.Trade) -> Document:
    return {
        "e": "trade", "E": ms(trade.t), "s": trade.symbol, "t": trade.trade_id, "p": trade.price, "q": trade.qty,
        "T": ms(trade.t), "m": trade.side == "SELL", "M": True,
    }  # fmt: skip


def agg_trade(event: events.Trade) -> Document:
    return {"e": "aggTrade", "E": ms(event.t), "s": event.symbol, **replies.agg_trade(event)}


def depth(symbol: str, diff: Diff, now: float) -> Document:
    return {
        "e": "depthUpdate", "E": ms(now), "s": symbol, "U": diff.first, "u": diff.last,
        "b": pairs(diff.bids), "a": pairs(diff.asks),
    }  # fmt: skip


def book_ticker(symbol: str, book: Book) -> Document:
    best = replies.book_ticker(symbol, book)
    sides = {"b": best["bidPrice"], "B": best["bidQty"], "a": best["askPrice"], "A": best["askQty"]}
    return {"u": book.update_id, "s": symbol, **sides}


def execution_report(happening: Happening, order: Order) -> Document:
    """The user stream's message for one event of an order."""
    event = happening.event
    leg = event if isinstance(event, events.Trade) else None
    kind = {"ACCEPTED": "NEW", "TRADE": "TRADE", "CANCELED": "CANCELED", "EXPIRED": "EXPIRED"}
    zero, labels = plain(ZERO), {"j": order.strategy_id, "J": order.strategy_type}
    return {
        "e": "executionReport", "E": ms(event.t), "s": order.symbol, "c": order.client_order_id, "S": order.side,
        "o": order.type, "f": order.tif, "q": plain(order.qty), "p": plain(order.price), "P": zero, "F": zero,
        "g": -1, "C": "", "x": kind[event.__struct_config__.tag], "X": order.status, "r": "NONE",  # type: ignore[index]
        "i": order.order_id, "l": leg.qty if leg else zero, "z": plain(order.executed),
        "L": leg.price if leg else zero, "n": leg.fee if leg else "0",
        "N": leg.fee_asset if leg else None, "T": ms(event.t), "t": leg.trade_id if leg else -1, "I": 0,
        "w": order.is_open, "m": leg.maker if leg else False, "M": leg is not None, "O": ms(order.t),
        "Z": plain(order.quote_executed), "Y": leg.quote_qty if leg else zero, "Q": plain(order.quote_order_qty), "W": ms(order.t),
        "V": STP, **{name: label for name, label in labels.items() if label is not None},
    }  # fmt: skip


def account_position(held: Mapping[str, Balance], assets: Iterable[str], now: float) -> Document:
    changed = [{"a": a, "f": plain(held[a].free), "l": plain(held[a].locked)} for a in sorted(assets) if a in held]
    return {"e": "outboundAccountPosition", "E": ms(now), "u": ms(now), "B": changed}


def balance_update(event: events.Transfer) -> Document:
    return {"e": "balanceUpdate", "E": ms(event.t), "a": event.asset, "d": event.amount, "T": ms(event.t)}


def ticker(symbol: str, day: Candle, book: Book, now: float) -> Document:
    """The last 24 hours."""
    d = replies.day_ticker(symbol, day, book, now)
    return {
        "e": "24hrTicker", "E": ms(now), "s": symbol, "p": d["priceChange"], "P": d["priceChangePercent"],
        "w": d["weightedAvgPrice"], "x": d["prevClosePrice"], "c": d["lastPrice"], "Q": d["lastQty"],
        "b": d["bidPrice"], "B": d["bidQty"], "a": d["askPrice"], "A": d["askQty"], "o": d["openPrice"],
        "h": d["highPrice"], "l": d["lowPrice"], "v": d["volume"], "q": d["quoteVolume"], "O": d["openTime"],
        "C": d["closeTime"], "F": d["firstId"], "L": d["lastId"], "n": d["count"],
    }  # fmt: skip


def mini_ticker(symbol: str, day: Candle, now: float) -> Document:
    """The last 24 hours in short."""
    return {
        "e": "24hrMiniTicker", "E": ms(now), "s": symbol, "c": plain(day.close), "o": plain(day.open),
        "h": plain(day.high), "l": plain(day.low), "v": plain(day.volume), "q": plain(day.quote_volume),
    }  # fmt: skip


def kline(symbol: str, candle: Candle, now: float) -> Document:
    """The candle of the current minute so far."""
    start, opened, high, low, close, volume, end, quote, count, taken, quote_taken, _ = replies.kline(candle, 1)
    body = {
        "t": start, "T": end, "s": symbol, "i": "1m", "f": candle.first_id, "L": candle.last_id, "o": opened,
        "c": close, "h": high, "l": low, "v": volume, "n": count, "x": False, "q": quote, "V": taken,
        "Q": quote_taken, "B": "0",
    }  # fmt: skip
    return {"e": "kline", "E": ms(now), "s": symbol, "k": body}
