"""How the trader's components are doing, as /health tells it. Pure: times come in as arguments."""

from __future__ import annotations

import errno
from collections import deque
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Watch:
    """One component. It fails until it first answers."""

    ok: bool = False
    error: str = "not asked yet"
    latencies: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=1000))

    def good(self, took_s: float = 0.0, now: float = 0.0) -> None:
        """It answered at `now`, after that many seconds."""
        self.ok, self.error = True, ""
        self.latencies.append((now, took_s))

    def bad(self, error: str) -> None:
        """It did not."""
        self.ok, self.error = False, error

    def p95_ms(self, since: float) -> float:
        """Of the answers that came after that time; 0 when there are none."""
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
    """A connection failure in one word and its text: no answer and no route are CONN_TIMEOUT, a closed port is
    CONN_REFUSED."""
    number = getattr(error, "errno", None)
    if isinstance(error, TimeoutError) or number in (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ETIMEDOUT):
        return "CONN_TIMEOUT"
    if isinstance(error, ConnectionRefusedError) or number == errno.ECONNREFUSED:
        return "CONN_REFUSED"
    return f"CONN_ERROR: {error or type(error).__name__}"
