"""One order book with price-time priority. Pure."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal

from stormdesk.testnet.venue.market import ZERO

Level = tuple[Decimal, Decimal]


@dataclass(slots=True)
class Resting:
    """An order's place in the book."""

    order_id: int
    account: str
    side: str
    price: Decimal
    remaining: Decimal


@dataclass(frozen=True)
class Diff:
    """The levels that changed since the last diff; `first` and `last` are the update ids it covers."""

    first: int
    last: int
    bids: list[Level]
    asks: list[Level]


@dataclass
class Side:
    """One side: prices in ascending order, and at each price the orders in order of arrival."""

    prices: list[Decimal] = field(default_factory=list)
    queues: dict[Decimal, dict[int, Resting]] = field(default_factory=dict)

    def quantity(self, price: Decimal) -> Decimal:
        return sum((order.remaining for order in self.queues.get(price, {}).values()), ZERO)


class Book:
    """Resting orders of one symbol. Every change of a level takes the next update id."""

    def __init__(self) -> None:
        self.update_id = 0
        self._sides = {"BUY": Side(), "SELL": Side()}
        self._orders: dict[int, Resting] = {}
        self._changed: set[tuple[str, Decimal]] = set()
        self._told = 0

    def add(self, order: Resting) -> None:
        """Rest an order behind all others at its price."""
        side = self._sides[order.side]
        if order.price not in side.queues:
            insort(side.prices, order.price)
            side.queues[order.price] = {}
        side.queues[order.price][order.order_id] = order
        self._orders[order.order_id] = order
        self._touch(order)

    def remove(self, order_id: int) -> Resting | None:
        """Take an order out; None when it does not rest here."""
        order = self._orders.pop(order_id, None)
        if order is None:
            return None
        side = self._sides[order.side]
        queue = side.queues[order.price]
        del queue[order_id]
        if not queue:
            del side.queues[order.price]
            del side.prices[bisect_left(side.prices, order.price)]
        self._touch(order)
        return order

    def reduce(self, order: Resting, qty: Decimal) -> None:
        """Take `qty` off an order that traded; it leaves the book when nothing remains."""
        order.remaining -= qty
        if order.remaining:
            self._touch(order)
        else:
            self.remove(order.order_id)

    def holds(self, order_id: int) -> bool:
        """Whether an order still rests here."""
        return order_id in self._orders

    def best(self, side: str) -> Level | None:
        """The best price of a side and the quantity there."""
        prices = self._sides[side].prices
        if not prices:
            return None
        price = prices[-1] if side == "BUY" else prices[0]
        return price, self._sides[side].quantity(price)

    def front(self, side: str, limit: Decimal | None) -> Resting | None:
        """The order on `side` that trades first against an incoming order with that limit (None: any price)."""
        top = self.best(side)
        if top is None or (limit is not None and (top[0] < limit if side == "BUY" else top[0] > limit)):
            return None
        return next(iter(self._sides[side].queues[top[0]].values()))

    def levels(self, side: str, limit: int) -> list[Level]:
        """The best `limit` levels, best first."""
        held = self._sides[side]
        prices = reversed(held.prices[-limit:]) if side == "BUY" else held.prices[:limit]
        return [(price, held.quantity(price)) for price in prices]

    def against(self, side: str, limit: Decimal | None) -> Iterator[Resting]:
        """All resting orders of `side` that an incoming order with that limit could trade with, in priority."""
        held = self._sides[side]
        for price in reversed(held.prices) if side == "BUY" else held.prices:
            if limit is not None and (price < limit if side == "BUY" else price > limit):
                return
            yield from held.queues[price].values()

    def diff(self) -> Diff | None:
        """What changed since the last call, or None. Quantity 0 says that the level is gone."""
        if self.update_id == self._told:
            return None
        sides: dict[str, list[Level]] = {"BUY": [], "SELL": []}
        for side, price in sorted(self._changed):
            sides[side].append((price, self._sides[side].quantity(price)))
        first, self._told = self._told + 1, self.update_id
        self._changed.clear()
        return Diff(first, self._told, sides["BUY"], sides["SELL"])

    def _touch(self, order: Resting) -> None:
        self.update_id += 1
        self._changed.add((order.side, order.price))
