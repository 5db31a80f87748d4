"""The market from the bus: best prices, their age, and a slow price that a single outlier does not move. Pure: times are
arguments."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from stormdesk.testnet.trader.strategy import Quote

SLOW_S = 30.0  # the slow price lags the market by about this time


@dataclass
class Ticker:
    """One symbol: its last quote, when it came, and the slow price."""

    quote: Quote
    heard_at: float
    slow: Decimal


class Market:
    """Quotes by symbol."""

    def __init__(self) -> None:
        self._tickers: dict[str, Ticker] = {}

    def hear(self, symbol: str, quote: Quote, now: float) -> None:
        """Process a quote. The slow price moves towards it in proportion to the time that has passed."""
        middle = (quote.bid + quote.ask) / 2
        before = self._tickers.get(symbol)
        if before is None:
            slow = middle
        else:
            share = Decimal(min((now - before.heard_at) / SLOW_S, 1.0))
            slow = before.slow + (middle - before.slow) * share
        self._tickers[symbol] = Ticker(quote, now, slow)

    def quotes(self, now: float, stale_s: float) -> dict[str, Quote]:
        """Quotes that are fresh and not crossed."""
        return {
            symbol: ticker.quote
            for symbol, ticker in self._tickers.items()
            if now - ticker.heard_at < stale_s and 0 < ticker.quote.bid < ticker.quote.ask
        }

    def slow(self, symbol: str) -> Decimal | None:
        """The slow price of a symbol that has had a quote."""
        ticker = self._tickers.get(symbol)
        return ticker.slow if ticker else None
