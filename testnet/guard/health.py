"""The result of one check: for health_v2.json, and for the stages. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from stormdesk.testnet.guard.stages import Sight

Document = dict[str, Any]
DEAD = ("EXITED", "FATAL", "BACKOFF", "UNKNOWN")  # supervisord's states
BY_HAND = ("STOPPING", "STOPPED")
OURS = ("REST_API", "Kafka", "Redis", "Postgres")  # checked by the guard itself; the others are reported by the service


@dataclass
class Latencies:
    """The latencies of the last `span_s` seconds."""

    span_s: float
    samples: deque[tuple[float, float]] = field(default_factory=deque)

    def add(self, now: float, took_s: float) -> None:
        """Record an answer, or a timeout, after `took_s`."""
        self.samples.append((now, took_s))
        while self.samples[0][0] < now - self.span_s:
            self.samples.popleft()

    def share_ms(self, share: float) -> float:
        """The quantile of the latencies at this share; 0 without answers."""
        ordered = sorted(took for _, took in self.samples)
        return round(ordered[min(int(len(ordered) * share), len(ordered) - 1)] * 1000, 1) if ordered else 0.0


@dataclass(frozen=True)
class Findings:
    """What one check found. `process` is supervisord's state of the service ("" when supervisord did not answer), `page` the
    service's own /health (None when it did not answer; `page_error` says why), `beat_age_s` the age of its heartbeat file (None
    without one), `starting_s` the age of a process that has not answered yet (None once it has). `components` are those that
    the guard checks itself."""

    process: str
    page: Mapping[str, Any] | None
    page_error: str
    page_ms: float
    beat_age_s: float | None
    starting_s: float | None
    components: Mapping[str, Document]


@dataclass(frozen=True)
class Service:
    """The watched service: `component` is its name in documents; its loops and its stream may be `stale_s` old, and it has
    `start_s` until its first answer."""

    component: str
    stale_s: float
    start_s: float

    def sight(self, found: Findings) -> tuple[Sight, str]:
        """The input for the stages, and the reason."""
        name = self.component
        if found.process in DEAD:
            return Sight.DEAD, f"{name}: its process has ended"
        if found.process in BY_HAND:
            return Sight.BLIND, f"{name}: stopped by hand"
        wrong = self.wrong(found)
        if not wrong:
            return Sight.WELL, ""
        if found.page is None and found.starting_s is not None and found.starting_s < self.start_s:
            return Sight.STARTING, f"{name}: {wrong}, {found.starting_s:.0f} s after its start"
        if not found.process:
            return Sight.BLIND, f"{name}: {wrong}; the supervisor does not answer"
        if found.page is None and found.beat_age_s is not None and found.beat_age_s <= self.stale_s:
            return Sight.BLIND, f"{name}: {wrong}, but its loops turn"
        away = [other for other in OURS if other in found.components and not found.components[other]["ok"]]
        if found.page is not None and away and not self._stuck(found.page):
            return Sight.BLIND, f"{name}: {wrong}, as {', '.join(away)} is away"
        return Sight.BAD, f"{name}: {wrong}"

    def wrong(self, found: Findings) -> str:
        """Why the service does not work; "" when it does."""
        if found.process in (*DEAD, *BY_HAND):
            return f"not running: {found.process}"
        if found.page is None:
            return found.page_error
        return self._stuck(found.page) or self._stale(found.page)

    def view(self, found: Findings) -> Document:
        """The service as a component."""
        wrong = self.wrong(found)
        seen: Document = {"ok": not wrong, "latency_ms": found.page_ms, "heartbeat_file_age_s": found.beat_age_s}
        if (age := _stream_age(found.page or {})) is not None:
            seen["stream_age_s"] = age
        return seen | ({"error": wrong} if wrong else {})

    def _stuck(self, page: Mapping[str, Any]) -> str:
        old = {loop: age for loop, age in _numbers(page.get("heartbeats")).items() if age > self.stale_s}
        return "; ".join(f"loop {loop} has stood still for {age:.0f} s" for loop, age in old.items())

    def _stale(self, page: Mapping[str, Any]) -> str:
        age = _stream_age(page)
        return f"CONN_TIMEOUT: nothing heard for {age:.0f} s" if age is not None and age > self.stale_s else ""


def components(service: Service, found: Findings) -> Mapping[str, Document]:
    """All components: those that the guard checks, the service, and those that only the service can report (its feed, its ledger)."""
    told = _documents((found.page or {}).get("components"))
    seen = {name: found.components[name] for name in OURS if name in found.components}
    seen |= {name: view for name, view in told.items() if name not in OURS and name != service.component}
    return {**seen, service.component: service.view(found)}


def document(service: Service, found: Findings, *, ts: float, stage: str, more: Mapping[str, Any]) -> Document:
    """health_v2.json. `more` are the guard's own keys."""
    parts = components(service, found)
    failing = [name for name, view in parts.items() if not view.get("ok")]
    page = found.page or {}
    return {
        "ts": ts,
        "age_s": 0.0,
        "dor": not failing and stage != "FAILSAFE",
        "stage": stage,
        "failing_components": failing,
        "components": parts,
        "heartbeats": _numbers(page.get("heartbeats")),
        "leader": page.get("leader", {}),
        "kill_switch": page.get("kill_switch", {}),
        "last_reconcile": page.get("last_reconcile", {}),
        **more,
    }


def _stream_age(page: Mapping[str, Any]) -> float | None:
    ages = page.get("stream_age_s")
    found = list(_numbers(ages).values()) if isinstance(ages, Mapping) else [ages]
    numbers = [float(age) for age in found if isinstance(age, int | float)]
    return max(numbers) if numbers else None


def _numbers(of: Any) -> dict[str, float]:
    return {str(k): float(v) for k, v in of.items() if isinstance(v, int | float)} if isinstance(of, Mapping) else {}


def _documents(of: Any) -> dict[str, Document]:
    return {str(k): dict(v) for k, v in of.items() if isinstance(v, Mapping)} if isinstance(of, Mapping) else {}
