"""The guard's metrics."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge

from stormdesk.testnet.guard.stages import Stage

STAGES = tuple(Stage)


class Metrics:
    """`guard_stage` is the stage's index in OBSERVE, RESTART, REWIRE, FAILSAFE, NOTIFY, from 0."""

    def __init__(self, component: str, stage: Callable[[], Stage], beat_age_s: Callable[[], float]) -> None:
        self.registry = registry = CollectorRegistry()
        restarts = Counter("guard_restarts", "Restarts requested from the supervisor.", ["component"], registry=registry)
        self.restarts = restarts.labels(component)
        self.lost = Counter("guard_lost_writes", "Files that could not be written.", registry=registry)
        Gauge("guard_stage", "Index of the stage.", registry=registry).set_function(lambda: STAGES.index(stage()))
        beat = Gauge("guard_heartbeat_age_seconds", "Since the last check ended.", registry=registry)
        beat.set_function(beat_age_s)
