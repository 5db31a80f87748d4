"""What a run asks of the stack on its hosts. A run knows no stack: desk/ plugs in the one of our trading stack, and on hosts
of any other kind there is none, and the steady state says when they have recovered.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from stormdesk.core.targets import Leader
from stormdesk.ssh.pool import Pool


@dataclass(frozen=True)
class Sample:
    """One look at a stack at `t` (seconds since 1970). `metrics` is None when it did not answer, `health` holds its
    services' documents by host, `text` says it in a few words."""

    t: float
    metrics: Mapping[str, float] | None
    health: Mapping[str, Any]
    text: str


class Tracker(Protocol):
    """Follows a stack from `from_t` (seconds since 1970) until it has recovered; `why` says what is still missing."""

    from_t: float
    recovered_at: float | None
    why: str

    @property
    def took_s(self) -> float | None:
        """Seconds until it had recovered; None until then."""

    def settled(self, t: float) -> bool:
        """Has it been well for long enough at `t`?"""


class Stack(Protocol):
    """A stack that can be watched: `sample` looks at it and tells the trackers that were begun."""

    def sample(self, without: Collection[str] = ()) -> Sample:
        """One look, bounded in time; `without` are hosts that are known to be cut off. Silence is data, never an error."""

    def track(self, from_t: float) -> Tracker:
        """Start the recovery clock at `from_t`."""

    def leader(self) -> Leader:
        """Who leads at this moment, by a source that is not the leader itself. Raises RefusedError when nobody does, and
        TransportError when the source cannot be asked."""


Watch = Callable[[Pool], Stack | None]  # the stack on these hosts; None: none that can be watched


@dataclass
class Clock:
    """The tracker of hosts without a stack that can be watched: whoever looks at their steady state says when it is well."""

    from_t: float
    recovered_at: float | None = None
    why: str = "no look yet"

    @property
    def took_s(self) -> float | None:
        return None if self.recovered_at is None else max(0.0, self.recovered_at - self.from_t)

    def settled(self, t: float) -> bool:
        return self.recovered_at is not None and t >= self.recovered_at
