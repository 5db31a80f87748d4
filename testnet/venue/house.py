"""The house: a seeded market maker that quotes both sides of a symbol around a wandering price. Pure.

Quotes are on a grid, so a small price move changes only the levels at the edges. Sizes vary widely, so that an order often trades
with several quotes. Each step changes at least one quote: silence means a fault.
"""

from __future__ import annotations

from decimal import ROUND_DOWN, Decimal
from random import Random

from stormdesk.testnet.venue.exchange import Exchange
from stormdesk.testnet.venue.market import Symbol

LEVELS = 10
GRID = Decimal("0.0001")  # of the starting price
SMALL, LARGE = 30.0, 3000.0  # a quote's worth, in the quote asset


class House:
    """The quotes of one symbol. `step` moves the price once and requotes."""

    def __init__(self, symbol: Symbol, random: Random) -> None:
        self._symbol = symbol
        self._random = random
        self._grid = max(symbol.tick, (symbol.start * GRID).quantize(symbol.tick, ROUND_DOWN))
        self._offset = 0.0  # of the price from its start, in grid steps
        self._standing: dict[tuple[str, Decimal], int] = {}

    def step(self, exchange: Exchange, now: float) -> None:
        """Move the price, then replace misplaced and missing quotes."""
        self._offset += self._random.gauss(0, 0.4) - 0.001 * self._offset
        wanted = self._wanted()
        book = exchange.books[self._symbol.name]
        restless = self._random.choice(wanted)
        for key, order_id in list(self._standing.items()):
            if key not in wanted or key == restless or not book.holds(order_id):
                exchange.unquote(self._symbol.name, order_id)
                del self._standing[key]
        for side, price in wanted:
            if (side, price) not in self._standing:
                qty = self._size(price)
                self._standing[side, price] = exchange.quote(self._symbol.name, side, price, qty, now)

    def _wanted(self) -> list[tuple[str, Decimal]]:
        middle = self._symbol.start + self._grid * round(self._offset)
        middle = max(middle, self._grid * (LEVELS + 1))
        bids = [("BUY", middle - self._grid * n) for n in range(1, LEVELS + 1)]
        return bids + [("SELL", middle + self._grid * n) for n in range(1, LEVELS + 1)]

    def _size(self, price: Decimal) -> Decimal:
        worth = Decimal(round(self._random.uniform(SMALL, LARGE), 2))
        return max((worth / price).quantize(self._symbol.step, ROUND_DOWN), self._symbol.step)
