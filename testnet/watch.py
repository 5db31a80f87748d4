"""The health of the trader's components, as /health reports it. Pure: times are arguments."""

from __future__ import annotations

import errno
from collections import deque
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Watch:
    """One component. It counts as failing until its first answer."""

    ok: bool = False
    error: str = "not asked yet"
    latencies: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=1000))

    def good(self, took_s: float = 0.0, now: float = 0.0) -> None:
        """Record an answer at `now`, after that many seconds."""
        self.ok, self.error = True, ""
        self.latencies.append((now, took_s))

    def bad(self, error: str) -> None:
        """Record that it did not answer."""
        self.ok, self.error = False, error

    def p95_ms(self, since: float) -> float:
        """The 95th percentile of the latencies since that time, in ms; 0 without answers."""
        ordered = sorted(took for t, took in self.latencies if t >= since)
        return ordered[int(len(ordered) * 0.95)] * 1000 if ordered else 0.0

    def document(self) -> dict[str, Any]:
        ordered = sorted(took for _, took in self.latencies)
        view: dict[str, Any] = {"ok": self.ok}
        if ordered:
            view["latency_ms"] = round(self.latencies[-1][1] * 1000, 1)
            view["p50"] = round(ordered[len(ordered) // 2] * 1000, 1)
            view["p95"] = round(ordered[int(len(ordered) * 0.95)] * 1000, 1)
        if self.error:
            view["error"] = self.error
        return view


def name_of(error: BaseException) -> str:
    """A connection failure as one word and its text: CONN_TIMEOUT for no answer or no route, CONN_REFUSED for a closed port."""
    number = getattr(error, "errno", None)
    if isinstance(error, TimeoutError) or number in (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ETIMEDOUT):
        return "CONN_TIMEOUT"
    if isinstance(error, ConnectionRefusedError) or number == errno.ECONNREFUSED:
        return "CONN_REFUSED"
    return f"CONN_ERROR: {error or type(error).__name__}"
