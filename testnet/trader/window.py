"""How much happened in the last seconds. Pure: times are arguments."""

from __future__ import annotations

from collections import deque


class SlidingWindow:
    """A sliding window: at most `limit` in any `seconds`. That also satisfies a limit per fixed window."""

    def __init__(self, seconds: float, limit: int) -> None:
        self.seconds = seconds
        self.limit = limit
        self._entries: deque[tuple[float, int]] = deque()
        self._sum = 0

    def used(self, now: float) -> int:
        """What was added in the seconds before `now`."""
        while self._entries and self._entries[0][0] <= now - self.seconds:
            self._sum -= self._entries.popleft()[1]
        return self._sum

    def add(self, amount: int, now: float) -> None:
        self._entries.append((now, amount))
        self._sum += amount

    def at_least(self, amount: int, now: float) -> None:
        """Another counter has seen that much."""
        missing = amount - self.used(now)
        if missing > 0:
            self.add(missing, now)

    def wait_s(self, amount: int, now: float) -> float:
        """Seconds until there is room for `amount`; 0 when there is room, or when `amount` exceeds the limit."""
        over = self.used(now) + amount - self.limit
        if over <= 0:
            return 0.0
        for t, entry in self._entries:
            over -= entry
            if over <= 0:
                return t + self.seconds - now
        return 0.0
