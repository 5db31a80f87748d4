"""Public requests: markets, books, trades, candles. Each handler takes the parameters of one request."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from typing import Any

import msgspec

from stormdesk.testnet.venue import errors, replies
from stormdesk.testnet.venue.candles import INTERVALS, Candle
from stormdesk.testnet.venue.errors import ApiError
from stormdesk.testnet.venue.forms import SYMBOL
from stormdesk.testnet.venue.market import Symbol
from stormdesk.testnet.venue.order_entry import Desk
from stormdesk.testnet.venue.params import Params, in_time, instant, integer, limit_of

AVERAGE_MIN = 5
STATUS = "TRADING"  # of every symbol, always
PERMISSIONS = ("SPOT", "MARGIN", "LEVERAGED")
NAME = r'"[\w\-._&&[^a-z]]{1,50}"'
LIST = rf"^\[({NAME}(,{NAME}){{0,}}){{0,1}}\]$"  # `legal` in the answer about `symbols`


class Public:
    """The handlers of public requests."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def symbol(self, params: Params) -> Symbol:
        """The symbol of a request. Raises ApiError -1121, or -1220 when it does not have the requested status."""
        symbol = self._desk.exchange.symbols.get(params["symbol"])
        if symbol is None:
            raise ApiError(*errors.BAD_SYMBOL)
        if params.get("symbolStatus", STATUS) != STATUS:
            raise ApiError(*errors.OTHER_STATUS)
        return symbol

    def ping(self, _: Params) -> object:
        return {}

    def time(self, _: Params) -> object:
        return {"serverTime": replies.ms(self._desk.now())}

    def exchange_info(self, params: Params) -> object:
        one = "symbol" in params or "symbols" in params
        if one and ("permissions" in params or "symbolStatus" in params):
            raise ApiError(*errors.BAD_COMBINATION)
        named = self._named(params) if permitted(params) else []
        return replies.exchange_info(named, self._desk.rules, self._desk.now())

    def depth(self, params: Params) -> object:
        return replies.depth(self._desk.exchange.books[self.symbol(params).name], limit_of(params, 100, 5000))

    def trades(self, params: Params) -> object:
        prints = list(self._desk.exchange.prints[self.symbol(params).name])
        return [replies.public_trade(trade) for trade in prints[-limit_of(params, 500, 1000) :]]

    def historical_trades(self, params: Params) -> object:
        if "fromId" not in params:
            return self.trades(params)
        prints = list(self._desk.exchange.prints[self.symbol(params).name])
        start = bisect_left(prints, integer(params, "fromId"), key=lambda trade: trade.trade_id)
        return [replies.public_trade(trade) for trade in prints[start : start + limit_of(params, 500, 1000)]]

    def agg_trades(self, params: Params) -> object:
        """Trades in Binance's aggregate form; ours are never merged, so their ids are those of trades."""
        prints = [t for t in self._desk.exchange.prints[self.symbol(params).name] if in_time(params, t.t)]
        limit = limit_of(params, 500, 1000)
        if "fromId" in params:
            first = bisect_left(prints, integer(params, "fromId"), key=lambda trade: trade.trade_id)
            return [replies.agg_trade(trade) for trade in prints[first : first + limit]]
        return [replies.agg_trade(trade) for trade in (prints[:limit] if "startTime" in params else prints[-limit:])]

    def klines(self, params: Params) -> object:
        symbol = self.symbol(params).name
        minutes = INTERVALS.get(params["interval"])
        if minutes is None:
            raise ApiError(*errors.INTERVAL)
        candles = self._desk.exchange.chart(symbol).last(minutes, 1_000_000, self._desk.now())
        limit = limit_of(params, 500, 1000)
        since = instant(params, "startTime") if "startTime" in params else None
        until = instant(params, "endTime") if "endTime" in params else None
        found = [c for c in candles if c.start >= (since or 0) and (until is None or c.start <= until)]
        chosen: Iterable[Candle] = found[-limit:] if since is None else found[:limit]
        return [replies.kline(candle, minutes) for candle in chosen]

    def average(self, params: Params) -> object:
        now = self._desk.now()
        price = self._desk.exchange.chart(self.symbol(params).name).mean(AVERAGE_MIN, now)
        return {"mins": AVERAGE_MIN, "price": f"{price:.8f}", "closeTime": replies.ms(now)}

    def ticker_price(self, params: Params) -> object:
        now = self._desk.now()
        charts = [(s.name, self._desk.exchange.chart(s.name)) for s in self._named(params)]
        return self._one_or_all(params, [replies.price(name, chart.last(1, 1, now)[0]) for name, chart in charts])

    def book_ticker(self, params: Params) -> object:
        books = self._desk.exchange.books
        return self._one_or_all(params, [replies.book_ticker(s.name, books[s.name]) for s in self._named(params)])

    def ticker_day(self, params: Params) -> object:
        exchange, now = self._desk.exchange, self._desk.now()
        found = [
            replies.day_ticker(s.name, exchange.chart(s.name).day(now), exchange.books[s.name], now)
            for s in self._named(params)
        ]
        if params.get("type") == "MINI":
            found = [replies.mini(ticker) for ticker in found]
        return self._one_or_all(params, found)

    def _one_or_all(self, params: Params, found: list[Any]) -> object:
        return found[0] if "symbol" in params else found

    def _named(self, params: Params) -> list[Symbol]:
        """The one symbol of a request, those of its list, or all; of lists, those with the requested status."""
        if "symbol" in params and "symbols" in params:
            raise ApiError(*errors.BAD_COMBINATION)
        if "symbol" in params:
            return [self.symbol(params)]
        names = symbol_names(params["symbols"]) if "symbols" in params else list(self._desk.exchange.symbols)
        found = [self.symbol({"symbol": name}) for name in names]
        return found if params.get("symbolStatus", STATUS) == STATUS else []


def symbol_names(text: str) -> list[str]:
    """The parameter `symbols`: a JSON list of names. Raises ApiError."""
    try:
        names = msgspec.json.decode(text, type=list[str])
    except msgspec.DecodeError:
        raise errors.illegal("symbols", LIST) from None
    if not names:
        raise errors.missing("symbols")
    if any(SYMBOL.refusal("symbols", name) for name in names):
        raise errors.illegal("symbols", LIST)
    if len(set(names)) < len(names):
        raise ApiError(*errors.SYMBOL_TWICE)
    return names


def permitted(params: Params) -> bool:
    """Whether the parameter `permissions`, one or a JSON list of them, covers spot trading. Raises ApiError -1130."""
    text = params.get("permissions", "SPOT")
    try:
        wanted = msgspec.json.decode(text, type=list[str]) if text.startswith("[") else [text]
    except msgspec.DecodeError:
        raise errors.not_valid("permissions") from None
    if not all(name in PERMISSIONS or name.startswith("TRD_GRP_") for name in wanted):
        raise errors.not_valid("permissions")
    return "SPOT" in wanted
