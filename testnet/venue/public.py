"""What everybody may ask: markets, books, trades, candles. Each handler takes the parameters of one request."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from typing import Any

import msgspec

from stormdesk.testnet.venue import errors, replies
from stormdesk.testnet.venue.candles import INTERVALS, Candle
from stormdesk.testnet.venue.desk import Desk
from stormdesk.testnet.venue.errors import ApiError
from stormdesk.testnet.venue.market import Symbol
from stormdesk.testnet.venue.params import Params, in_time, limit_of, whole

AVERAGE_MIN = 5


class Public:
    """The handlers of public requests."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def symbol(self, params: Params) -> Symbol:
        """The symbol of a request. Raises ApiError -1102 or -1121."""
        if not params.get("symbol"):
            raise errors.missing("symbol")
        symbol = self._desk.exchange.symbols.get(params["symbol"])
        if symbol is None:
            raise ApiError(*errors.BAD_SYMBOL)
        return symbol

    def ping(self, _: Params) -> object:
        return {}

    def time(self, _: Params) -> object:
        return {"serverTime": replies.ms(self._desk.now())}

    def exchange_info(self, params: Params) -> object:
        return replies.exchange_info(self._named(params), self._desk.rules, self._desk.now())

    def depth(self, params: Params) -> object:
        return replies.depth(self._desk.exchange.books[self.symbol(params).name], limit_of(params, 100, 5000))

    def trades(self, params: Params) -> object:
        prints = list(self._desk.exchange.prints[self.symbol(params).name])
        return [replies.public_trade(trade) for trade in prints[-limit_of(params, 500, 1000) :]]

    def historical_trades(self, params: Params) -> object:
        if "fromId" not in params:
            return self.trades(params)
        prints = list(self._desk.exchange.prints[self.symbol(params).name])
        start = bisect_left(prints, whole(params, "fromId"), key=lambda trade: trade.trade_id)
        return [replies.public_trade(trade) for trade in prints[start : start + limit_of(params, 500, 1000)]]

    def agg_trades(self, params: Params) -> object:
        """Trades in Binance's compressed form; none of ours are joined, so that ids stay those of trades."""
        prints = [t for t in self._desk.exchange.prints[self.symbol(params).name] if in_time(params, t.t)]
        limit = limit_of(params, 500, 1000)
        if "fromId" in params:
            first = bisect_left(prints, whole(params, "fromId"), key=lambda trade: trade.trade_id)
            return [replies.agg_trade(trade) for trade in prints[first : first + limit]]
        return [replies.agg_trade(trade) for trade in (prints[:limit] if "startTime" in params else prints[-limit:])]

    def klines(self, params: Params) -> object:
        symbol = self.symbol(params).name
        minutes = INTERVALS.get(params.get("interval", ""))
        if minutes is None:
            raise ApiError(*errors.INTERVAL) if params.get("interval") else errors.missing("interval")
        candles = self._desk.exchange.chart(symbol).last(minutes, 1_000_000, self._desk.now())
        limit = limit_of(params, 500, 1000)
        since = whole(params, "startTime") if "startTime" in params else None
        until = whole(params, "endTime") if "endTime" in params else None
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
        return self._one_or_all(params, found)

    def _one_or_all(self, params: Params, found: list[Any]) -> object:
        return found[0] if "symbol" in params else found

    def _named(self, params: Params) -> list[Symbol]:
        """The one symbol of a request, those of its list, or all."""
        if "symbol" in params:
            return [self.symbol(params)]
        if "symbols" not in params:
            return list(self._desk.exchange.symbols.values())
        try:
            names = msgspec.json.decode(params["symbols"], type=list[str])
        except msgspec.DecodeError:
            raise errors.illegal("symbols") from None
        return [self.symbol({"symbol": name}) for name in names]
