"""Request weight, order counts and bans, in fixed windows as Binance counts them. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from stormdesk.testnet.venue import errors
from stormdesk.testnet.venue.errors import ThrottledError
from stormdesk.testnet.venue.rules import Rules


class FixedWindow:
    """Counters by key that are reset with each interval."""

    def __init__(self, seconds: int) -> None:
        self.seconds = seconds
        self._number = 0
        self._counts: Counter[str] = Counter()

    def add(self, key: str, amount: int, now: float) -> int:
        """Add to a key's count; returns its count in the current interval."""
        number = int(now) // self.seconds
        if number != self._number:
            self._number = number
            self._counts.clear()
        self._counts[key] += amount
        return self._counts[key]

    def end(self, now: float) -> float:
        """The end of the interval of that instant."""
        return float((int(now) // self.seconds + 1) * self.seconds)


@dataclass
class Wait:
    """An address that was told to wait, and how often it came too early."""

    until: float
    status: int
    early: int = 0


class Limits:
    """The venue's limits by client address and by account. Instants are seconds since 1970."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._weight = FixedWindow(60)
        self._raw = FixedWindow(300)
        self._connects = FixedWindow(300)
        self._orders = FixedWindow(10)
        self._orders_day = FixedWindow(86_400)
        self._waits: dict[str, Wait] = {}
        self._bans: Counter[str] = Counter()

    def used(self, remote: str, now: float) -> int:
        """The weight that an address used in this minute."""
        return self._weight.add(remote, 0, now)

    def charge(self, remote: str, weight: int, now: float) -> None:
        """Charge a request. Raises ThrottledError (429, 418) when it exceeds the limit or comes too early."""
        self._check_wait(remote, now)
        used = self._weight.add(remote, weight, now)
        if used > self._rules.weight_per_min:
            raise self.refuse(remote, self._weight.end(now), now, errors.too_much_weight(self._rules.weight_per_min))
        if self._raw.add(remote, 1, now) > self._rules.raw_per_5min:
            raise self.refuse(remote, self._raw.end(now), now, errors.too_many_requests(self._rules.raw_per_5min))

    def connect(self, remote: str, now: float) -> None:
        """Count a WebSocket connection. Raises ThrottledError."""
        self._check_wait(remote, now)
        if self._connects.add(remote, 1, now) > self._rules.connects_per_5min:
            raise ThrottledError(429, errors.TOO_MANY_CONNECTS, now, self._connects.end(now))

    def refuse(self, remote: str, until: float, now: float, msg: str) -> ThrottledError:
        """The 429 for an address that must wait until then."""
        self._waits[remote] = Wait(until, 429)
        return ThrottledError(429, msg, now, until)

    def ban(self, remote: str, now: float) -> ThrottledError:
        """The 418 for an address that is banned from now on; each ban is longer."""
        first, longest = self._rules.ban_s
        until = now + min(longest, first * 2.0 ** self._bans[remote])
        self._bans[remote] += 1
        self._waits[remote] = Wait(until, 418)
        return ThrottledError(418, errors.banned(until), now, until)

    def order(self, account: str, now: float) -> dict[str, str]:
        """Count a new order; returns the headers with the counts. Raises ThrottledError -1015."""
        rules = self._rules
        day = self._orders_day.add(account, 1, now)
        short = self._orders.add(account, 1, now)
        for window, count, limit, name in (
            (self._orders, short, rules.orders_per_10s, "10 SECOND"),
            (self._orders_day, day, rules.orders_per_day, "1 DAY"),
        ):
            if count > limit:
                early = count > limit + 1
                raise ThrottledError(429, errors.too_many_orders(limit, name), now, window.end(now), -1015, early=early)
        return {"X-MBX-ORDER-COUNT-10S": str(short), "X-MBX-ORDER-COUNT-1D": str(day)}

    def order_counts(self, account: str, now: float) -> tuple[int, int]:
        """New orders of an account in these 10 s and on this day."""
        return self._orders.add(account, 0, now), self._orders_day.add(account, 0, now)

    def _check_wait(self, remote: str, now: float) -> None:
        wait = self._waits.get(remote)
        if wait is None:
            return
        if now >= wait.until:
            del self._waits[remote]
            return
        wait.early += 1
        if wait.status == 429 and wait.early > self._rules.early_before_ban:
            error = self.ban(remote, now)
            error.early = True
            raise error
        msg = errors.banned(wait.until) if wait.status == 418 else errors.TOO_EARLY_AGAIN
        raise ThrottledError(wait.status, msg, now, wait.until, early=True)
