"""A host's clock as the controller sees it. Pure; neither wall clock is used."""

from __future__ import annotations

from dataclasses import dataclass

TICK_S = 0.01  # the resolution of /proc/uptime


@dataclass(frozen=True)
class Ahead:
    """By how many seconds a host's time since boot is ahead of the controller's monotonic clock: between `low` and `high`."""

    low: float = 0.0
    high: float = 0.0

    @classmethod
    def seen(cls, uptime_s: float, sent: float, received: float) -> Ahead:
        """From an `uptime_s` that the host read between a request and its answer, which are monotonic seconds."""
        return cls(uptime_s - received, uptime_s + TICK_S - sent)

    def narrowed(self, newer: Ahead) -> Ahead:
        """The intersection of both. If a clock drifted or stood still in between, there is none; then the newer one counts."""
        low, high = max(self.low, newer.low), min(self.high, newer.high)
        return Ahead(low, high) if low <= high else newer

    @property
    def s(self) -> float:
        """The middle."""
        return (self.low + self.high) / 2

    @property
    def uncertain_s(self) -> float:
        """The largest possible error."""
        return (self.high - self.low) / 2


UNMEASURED = Ahead()


def spread_s(instants: list[float]) -> float:
    """Seconds from the first to the last."""
    return max(instants) - min(instants) if instants else 0.0
