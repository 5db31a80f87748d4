"""The protocols by which a run watches the stack on its hosts. A run knows no particular stack: `desk.stack.TradingStack` implements
them for our trading stack. Other hosts have none; they have recovered when their steady state holds again.

All instants are the controller's wall clock, in seconds since 1970; durations are in seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from stormdesk.core.targets import Leader
from stormdesk.ssh.pool import Pool


@dataclass(frozen=True)
class Sample:
    """One reading of a stack.

    `t`: when it was complete, in seconds since 1970.
    `metrics`: by name, for expectations (`core.expect`) and the record's `sample` events; counters are totals since their process
    started. None when the stack did not answer. For the trading stack these are `desk.pulse.Pulse.metrics()`, from the traders' /metrics.
    `health`: by host, the JSON documents of its services; hosts that did not answer are missing. For the trading stack: a
    trader's /health, with /health_v2 of its guard under `guard` and /state of the orchestrator under `orchestrator`.
    `text`: a short summary for the terminal, such as `orders 3.9/s  refused 0`.
    """

    t: float
    metrics: Mapping[str, float] | None
    health: Mapping[str, Any]
    text: str


class Tracker(Protocol):
    """Follows a stack until it has recovered. Its stack feeds it; nothing here blocks or raises.

    `from_t`: the start of the recovery clock, in seconds since 1970.
    `recovered_at`: the first reading that was good and has stayed good, in seconds since 1970; None while the stack is not
    well. A later bad reading sets it back to None.
    `why`: what is still missing, for people; "" when the last reading was good.
    """

    from_t: float
    recovered_at: float | None
    why: str

    @property
    def took_s(self) -> float | None:
        """Seconds from `from_t` to `recovered_at`, at least 0; None while there is no such instant."""

    def settled(self, t: float) -> bool:
        """Has the stack been well for long enough at `t` (seconds since 1970)? How long that is, its stack decides."""


class Stack(Protocol):
    """A stack that can be watched. Each `sample` also feeds the trackers that `track` has returned. Not thread-safe."""

    def sample(self, without: Collection[str] = ()) -> Sample:
        """Take one reading, in bounded time (the trading stack: one second). `without`: names of hosts that are cut off and not
        queried. Never raises for a host that does not answer: that is `metrics` None, or a host missing from `health`."""

    def track(self, from_t: float) -> Tracker:
        """A tracker whose recovery clock starts at `from_t` (seconds since 1970), fed from the next `sample` on."""

    def snapshot(self) -> Mapping[str, str]:
        """The services' own metrics as they publish them: text by `<host>-<service>`, in bounded time. A service that does not answer
        is missing. Never raises."""

    def leader(self) -> Leader:
        """Who leads at this moment, by a source that is not the leader itself. Raises RefusedError when nobody does, and
        TransportError when the source cannot be asked."""


Watch = Callable[[Pool], Stack | None]  # the stack on the pool's hosts; None: there is none that can be watched


@dataclass
class Clock:
    """The tracker for hosts without a stack: `run.recovery` checks their steady state and sets `recovered_at` and `why`."""

    from_t: float
    recovered_at: float | None = None
    why: str = "not checked yet"

    @property
    def took_s(self) -> float | None:
        return None if self.recovered_at is None else max(0.0, self.recovered_at - self.from_t)

    def settled(self, t: float) -> bool:
        return self.recovered_at is not None and t >= self.recovered_at
