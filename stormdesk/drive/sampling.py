"""Reads the pulse of the trading stack from the traders, over the pooled connections."""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

from stormdesk.drive.pool import Pool
from stormdesk.errors import StormdeskError
from stormdesk.pulse import SEPARATOR, Answer, Pulse, answer, pulse

DEADLINE_S = 3.0
PATIENCE_S = 1.0  # a trader that is stopped or out of reach must not hold up the revert of a fault
PAGES = ("/ready", "/health", "/metrics")


@dataclass(frozen=True)
class Sample:
    """One look at all traders. `pulse` is None when none of them answered; `health` holds the documents of those that did."""

    t: float
    pulse: Pulse | None
    health: dict[str, Any]


class Sampler:
    """Asks every trader with an http port. `read()` never raises for a host that does not answer: silence is data."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._ports = {
            name: host.services["trader"].ports["http"]
            for name, host in sorted(pool.inventory.hosts.items())
            if "trader" in host.services and "http" in host.services["trader"].ports
        }
        self._threads = ThreadPoolExecutor(max(1, len(self._ports)))
        self._asked: dict[str, Future[Answer | None]] = {}

    def read(self, without: str = "") -> Sample:
        """One reading, in at most PATIENCE_S; `without` names a host that is known to be cut off and is not asked."""
        self._asked = {name: asked for name, asked in self._asked.items() if not asked.done()}  # late ones are stale
        wanted = [name for name in self._ports if name != without]
        fresh = {name: self._threads.submit(self._one, name) for name in wanted if name not in self._asked}
        wait(fresh.values(), PATIENCE_S)
        self._asked |= fresh
        found = {name: asked.result() for name, asked in fresh.items() if asked.done()}
        answers = {name: answer for name, answer in found.items() if answer is not None}
        t = time.time()
        return Sample(
            t, pulse(t, answers.values()) if answers else None, {name: a.health for name, a in answers.items()}
        )

    def _one(self, host: str) -> Answer | None:
        urls = [f"http://127.0.0.1:{self._ports[host]}{page}" for page in PAGES]
        # --fail-early: a trader that does not answer the first question within 2 s is not asked the others.
        argv = ("curl", "-s", "-m", "2", "--fail-early", "-w", f"\n{SEPARATOR} %{{http_code}}\n", *urls)
        try:
            return answer(self._pool.run(host, argv, DEADLINE_S).stdout)
        except StormdeskError:
            return None
