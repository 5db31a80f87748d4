"""Samples the pulse of the trading stack, and what guards, orchestrator, prober and feeder say, over the pooled connections."""

from __future__ import annotations

import json
import time
from collections.abc import Collection
from concurrent.futures import Future, wait
from dataclasses import dataclass
from functools import partial
from typing import Any

from stormdesk.core.errors import StormdeskError
from stormdesk.desk.pulse import SEPARATOR, Answer, Pulse, answer, pulse
from stormdesk.evidence.metrics import series
from stormdesk.run.flags import load, watched
from stormdesk.ssh.pool import Pool
from stormdesk.ssh.signals import defer_signals
from stormdesk.ssh.threads import Threads

DEADLINE_S = 3.0
PATIENCE_S = 1.0  # a trader that is stopped or out of reach must not hold up the revert of a fault
PAGES = ("/ready", "/health", "/metrics")
METRICS = "/metrics"
# In a host's health under the service's name: the page with its document ("": it has none) ...
VIEWS = {"guard": "/health_v2", "orchestrator": "/state", "prober": "", "feeder": ""}
# ... and of its metrics those with these names, by the value of their label where they have one.
MEASURES = {
    "orchestrator": ("orchestrator_rejected_states", "orchestrator_open_alerts"),
    "prober": ("target_heartbeat_age_seconds", "up"),
    "feeder": ("feeder_dropped_total", "feeder_buffer_depth", "feeder_connects_total", "feeder_backfilled_total"),
}


@dataclass(frozen=True)
class Sample:
    """One look at the stack. `pulse` is None when no trader answered; `health` holds by host the documents of those that did:
    a trader's own, and those of VIEWS in it."""

    t: float
    pulse: Pulse | None
    health: dict[str, Any]


class Sampler:
    """Asks every trader, and every service of VIEWS, with an http port. `read()` never raises for silence: silence is data."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._ports = {
            (name, service): entry.ports["http"]
            for name, host in sorted(pool.inventory.hosts.items())
            for service, entry in host.services.items()
            if service in ("trader", *VIEWS) and "http" in entry.ports
        }
        if api := load().api:
            traders = {host: port for (host, service), port in self._ports.items() if service == "trader"}
            meant = watched(traders, {name: host.address for name, host in pool.inventory.hosts.items()}, api)
            self._ports = {key: port for key, port in self._ports.items() if key[1] != "trader"}
            self._ports |= {(host, "trader"): port for host, port in meant.items()}
        self._threads = Threads(max(1, len(self._ports)))
        self._asked: dict[tuple[str, str], Future[Any]] = {}
        self._last: dict[str, Answer] = {}  # of each trader

    def read(self, without: Collection[str] = ()) -> Sample:
        """One reading, in at most PATIENCE_S; `without` are hosts that are known to be cut off and are not asked."""
        with defer_signals():
            found = self._ask(without)
        answers = {host: said for (host, _), said in found.items() if isinstance(said, Answer)}
        health = {host: dict(said.health) for host, said in answers.items()}
        for (host, service), said in found.items():
            if isinstance(said, dict) and said:
                health.setdefault(host, {})[service] = said
        self._last |= answers
        silent = [said for host, said in self._last.items() if host not in answers]
        t = time.time()
        return Sample(t, pulse(t, answers.values(), silent) if answers else None, health)

    def _ask(self, without: Collection[str]) -> dict[tuple[str, str], Any]:
        # Who answers too late for one sample is in the next: on a busy machine nobody would be seen otherwise.
        late = {key: asked.result() for key, asked in self._asked.items() if asked.done() and key[0] not in without}
        self._asked = {key: asked for key, asked in self._asked.items() if not asked.done()}
        wanted = [key for key in self._ports if key[0] not in without and key not in self._asked]
        fresh = {
            key: self._threads.submit(partial(self._trader if key[1] == "trader" else self._view, *key))
            for key in wanted
        }
        wait(fresh.values(), PATIENCE_S)
        found = {key: asked.result() for key, asked in fresh.items() if asked.done()}
        self._asked |= {key: asked for key, asked in fresh.items() if key not in found}
        return late | found

    def _trader(self, host: str, service: str) -> Answer | None:
        # --fail-early: a trader that does not answer the first question within 2 s is not asked the others.
        more = ("--fail-early", "-w", f"\n{SEPARATOR} %{{http_code}}\n")
        text = self._curl(host, self._ports[host, service], *PAGES, more=more)
        return None if text is None else answer(text)

    def _view(self, host: str, service: str) -> dict[str, Any]:
        pages = [page for page in (VIEWS[service], METRICS if service in MEASURES else "") if page]
        more = ("--fail-early", "-w", f"\n{SEPARATOR}\n")
        texts = (self._curl(host, self._ports[host, service], *pages, more=more) or "").split(f"\n{SEPARATOR}\n")[:-1]
        said: dict[str, Any] = {}
        for page, text in zip(pages, texts, strict=False):
            said |= measures(service, text) if page == METRICS else _document(text)
        return said

    def _curl(self, host: str, port: int, *pages: str, more: tuple[str, ...] = ()) -> str | None:
        urls = [f"http://127.0.0.1:{port}{page}" for page in pages]
        try:
            return self._pool.run(host, ("curl", "-s", "-m", "2", *more, *urls), DEADLINE_S).stdout
        except StormdeskError:
            return None


def measures(service: str, text: str) -> dict[str, Any]:
    """The samples of a service that MEASURES names: {name: value}, or {name: {value of its label: value}}."""
    found: dict[str, Any] = {}
    for name, labels, value in series(text):
        if name not in MEASURES[service]:
            continue
        if labels:
            found.setdefault(name, {})[next(iter(labels.values()))] = value
        else:
            found[name] = value
    return found


def _document(text: str) -> dict[str, Any]:
    try:
        said = json.loads(text)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}
