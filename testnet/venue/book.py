"""One order book with price-time priority. Pure."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal

from stormdesk.testnet.venue.market import ZERO

Level = tuple[Decimal, Decimal]
REMEMBERED = 20_000  # changes kept, to reconstruct an earlier state of the book


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
class Reader:
    """The position of one reader of the book's changes: the last diff, and the changes since."""

    told: int
    changed: set[tuple[str, Decimal]] = field(default_factory=set)


@dataclass
class Side:
    """One side: prices in ascending order; at each price the orders in order of arrival, and their sum."""

    prices: list[Decimal] = field(default_factory=list)
    queues: dict[Decimal, dict[int, Resting]] = field(default_factory=dict)
    sums: dict[Decimal, Decimal] = field(default_factory=dict)

    def quantity(self, price: Decimal) -> Decimal:
        return self.sums.get(price, ZERO)


class Book:
    """Resting orders of one symbol. Every change of a level takes the next update id, from `update_id` on."""

    def __init__(self, update_id: int = 0) -> None:
        self.update_id = update_id
        self._sides = {"BUY": Side(), "SELL": Side()}
        self._orders: dict[int, Resting] = {}
        self._readers = [Reader(update_id)]
        self._past: deque[tuple[str, Decimal, Decimal]] = deque(maxlen=REMEMBERED)  # earlier values of levels

    def add(self, order: Resting) -> None:
        """Rest an order behind all others at its price."""
        side = self._sides[order.side]
        if order.price not in side.queues:
            insort(side.prices, order.price)
            side.queues[order.price] = {}
        side.queues[order.price][order.order_id] = order
        self._orders[order.order_id] = order
        self._change(order, order.remaining)

    def remove(self, order_id: int) -> Resting | None:
        """Remove an order; None when it does not rest here."""
        order = self._orders.pop(order_id, None)
        if order is None:
            return None
        side = self._sides[order.side]
        queue = side.queues[order.price]
        del queue[order_id]
        if not queue:
            del side.queues[order.price]
            del side.prices[bisect_left(side.prices, order.price)]
        self._change(order, -order.remaining)
        return order

    def reduce(self, order: Resting, qty: Decimal) -> None:
        """Reduce an order that traded by `qty`; it leaves the book when nothing remains."""
        if qty == order.remaining:
            self.remove(order.order_id)
            order.remaining = ZERO
        else:
            order.remaining -= qty
            self._change(order, -qty)

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

    def worth(self, side: str, quote: Decimal, step: Decimal, leave_out: str) -> Decimal | None:
        """The quantity that an amount of the quote asset trades against `side`, in whole steps, without one account's orders; None when
        the side is empty. When the amount exceeds the side, the rest counts at the last price."""
        qty, price = ZERO, ZERO
        for resting in self.against(side, None):
            if resting.account == leave_out:
                continue
            price = resting.price
            taken = min(resting.remaining, quote / price // step * step)
            qty, quote = qty + taken, quote - taken * price
            if taken < resting.remaining:
                return qty
        return qty + quote / price // step * step if price else None

    def reader(self) -> Reader:
        """A further reader for `diff`, besides the book's own; it starts with the current book."""
        self._readers.append(Reader(self.update_id))
        return self._readers[-1]

    def diff(self, reader: Reader | None = None) -> Diff | None:
        """The changes since the reader's last call, or None. Quantity 0: the level is gone."""
        reader = reader or self._readers[0]
        if self.update_id == reader.told:
            return None
        sides: dict[str, list[Level]] = {"BUY": [], "SELL": []}
        for side, price in sorted(reader.changed):
            sides[side].append((price, self._sides[side].quantity(price)))
        first, reader.told = reader.told + 1, self.update_id
        reader.changed.clear()
        return Diff(first, reader.told, sides["BUY"], sides["SELL"])

    def at(self, update_id: int) -> tuple[list[Level], list[Level]] | None:
        """All bids and asks as of that update, best first; None when it is too old or in the future."""
        back = self.update_id - update_id
        if not 0 <= back <= len(self._past):
            return None
        sums = {name: dict(side.sums) for name, side in self._sides.items()}
        for n in range(1, back + 1):
            side, price, before = self._past[-n]
            sums[side][price] = before
        bids, asks = ([level for level in sums[side].items() if level[1]] for side in ("BUY", "SELL"))
        return sorted(bids, reverse=True), sorted(asks)

    def _change(self, order: Resting, by: Decimal) -> None:
        sums = self._sides[order.side].sums
        before = sums.get(order.price, ZERO)
        if before + by:
            sums[order.price] = before + by
        else:
            del sums[order.price]
        self.update_id += 1
        self._past.append((order.side, order.price, before))
        for reader in self._readers:
            reader.changed.add((order.side, order.price))
