"""Request weight and order counts, in fixed windows as Binance counts them. Pure."""

from __future__ import annotations

from collections import Counter

from stormdesk.testnet.venue import errors
from stormdesk.testnet.venue.errors import ApiError
from stormdesk.testnet.venue.replies import ORDER_LIMIT_10S, WEIGHT_LIMIT


class Window:
    """Counts by key that start again with each interval."""

    def __init__(self, seconds: int) -> None:
        self.seconds = seconds
        self._number = 0
        self._counts: Counter[str] = Counter()

    def add(self, key: str, amount: int, now: float) -> int:
        """Add to a key's count; the count in the current interval."""
        number = int(now) // self.seconds
        if number != self._number:
            self._number = number
            self._counts.clear()
        self._counts[key] += amount
        return self._counts[key]


class Limits:
    """The venue's limits by client address and by account."""

    def __init__(self) -> None:
        self._weight = Window(60)
        self._orders = Window(10)
        self._orders_day = Window(86_400)

    def used(self, remote: str, now: float) -> int:
        """The weight that an address used in this minute."""
        return self._weight.add(remote, 0, now)

    def charge(self, remote: str, weight: int, now: float) -> None:
        """Charge a request. Raises ApiError -1003."""
        if self._weight.add(remote, weight, now) > WEIGHT_LIMIT:
            raise ApiError(*errors.TOO_MUCH_WEIGHT)

    def order(self, account: str, now: float) -> dict[str, str]:
        """Count a new order; the headers that say how many there were. Raises ApiError -1015."""
        short = self._orders.add(account, 1, now)
        if short > ORDER_LIMIT_10S:
            raise ApiError(*errors.TOO_MANY_ORDERS)
        day = self._orders_day.add(account, 1, now)
        return {"X-MBX-ORDER-COUNT-10S": str(short), "X-MBX-ORDER-COUNT-1D": str(day)}
