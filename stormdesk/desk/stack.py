"""Our trading stack for the observer of a run: the traders' pulse, and the instant of recovery."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from stormdesk.core.targets import Leader
from stormdesk.desk import leading
from stormdesk.desk.http_services import Services
from stormdesk.desk.metrics_sampler import Sampler
from stormdesk.desk.pulse import Pulse, Recovery, ack_p99_ms
from stormdesk.run.stack import Sample
from stormdesk.ssh.pool import Pool


class TradingStack:
    """Reads all traders, guards and orchestrators of a pool's inventory. Not thread-safe."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._sampler = Sampler(pool)
        self._last: Pulse | None = None
        self._trackers: list[Recovery] = []

    def sample(self, without: Collection[str] = ()) -> Sample:
        found = self._sampler.read(without)
        for tracker in self._trackers:
            tracker.feed(found.t, found.pulse)
        return Sample(found.t, found.pulse.metrics() if found.pulse else None, found.health, self._words(found.pulse))

    def track(self, from_t: float) -> Recovery:
        tracker = Recovery(from_t, self._last)
        self._trackers.append(tracker)
        return tracker

    def snapshot(self) -> Mapping[str, str]:
        return Services(self._pool).metrics()

    def leader(self) -> Leader:
        return leading.leader(self._pool)

    def _words(self, now: Pulse | None) -> str:
        if now is None:
            return "no trader answers"
        before, self._last = self._last, now
        if before is None or now.t <= before.t or now.accepted < before.accepted:
            return f"orders {now.accepted}  refused {now.refused}"
        p99 = ack_p99_ms(before, now)
        rate = (now.accepted - before.accepted) / (now.t - before.t)
        return f"orders {rate:.1f}/s  refused {now.refused}" + (f"  ack p99 {p99:.0f} ms" if p99 else "")
