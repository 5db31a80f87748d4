"""The trader's metrics, docs/formats/trader.md."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector
from typing_extensions import override

log = logging.getLogger(__name__)

ALARMS = (
    "duplicate_confirmation", "order_gone", "rollback", "drift", "stale_account", "kill_switch_unverified", "snapshot",
)  # fmt: skip
STATES = ("sent", "accepted", "rejected", "refused", "canceled", "filled", "unknown")
LOOPS = ("scan", "order", "md")
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class _Read(Collector):
    """A counter that lives elsewhere."""

    def __init__(self, name: str, what: str, read: Callable[[], int]) -> None:
        self._name, self._what, self._read = name, what, read

    @override
    def collect(self) -> Iterator[Metric]:
        yield CounterMetricFamily(self._name, self._what, value=self._read())


class Metrics:
    """Counters, gauges and the loops' heartbeats. Every label value exists from the start, at zero."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self._orders = Counter("trader_orders", "Orders by result.", ["state", "side"], registry=registry)
        self.request = Histogram("trader_venue_request_seconds", "REST.", buckets=BUCKETS, registry=registry)
        self.ack = Histogram("trader_order_ack_seconds", "Signal to ACK.", buckets=BUCKETS, registry=registry)
        self.duplicates = Counter("trader_duplicate_signals", "Repeated signals.", registry=registry)
        self._skipped = Counter("trader_skipped", "Signals refused before INTENT.", ["reason"], registry=registry)
        self._alarms = Counter("trader_alarms", "Events that a person should look at.", ["kind"], registry=registry)
        self._drift = Gauge("trader_reconcile_drift", "Found by the last reconciliation.", ["asset"], registry=registry)
        self._position = Gauge("trader_position", "Booked position.", ["asset"], registry=registry)
        self._beats = dict.fromkeys(LOOPS, time.monotonic())
        age = Gauge("trader_heartbeat_age_seconds", "Since the loop last turned.", ["loop"], registry=registry)
        for loop in LOOPS:
            age.labels(loop).set_function(partial(self.age_s, loop))
        for state in STATES:
            for side in ("BUY", "SELL"):
                self._orders.labels(state, side)

        for kind in ALARMS:
            self._alarms.labels(kind)

    def alarm(self, kind: str, text: str) -> None:
        """Report something that must not happen: a person should look at it."""
        log.error("ALARM %s: %s", kind, text)
        self._alarms.labels(kind).inc()

    def skipped(self, reason: str) -> None:
        self._skipped.labels(reason).inc()

    def drift(self, asset: str, amount: float) -> None:
        self._drift.labels(asset).set(amount)

    def gauges(self, name: str, what: str, label: str, read: Mapping[str, Callable[[], float]]) -> None:
        """A gauge for each value of a label."""
        gauge = Gauge(name, what, [label], registry=self.registry)
        for value, function in read.items():
            gauge.labels(value).set_function(function)

    def gauge(self, name: str, what: str, read: Callable[[], float]) -> None:
        """A gauge that is collected on request."""
        Gauge(name, what, registry=self.registry).set_function(read)

    def counter(self, name: str, what: str, read: Callable[[], int]) -> None:
        """A counter that is collected on request; <name>_total."""
        self.registry.register(_Read(name, what, read))

    def count(self, state: str, side: str) -> None:
        self._orders.labels(state, side).inc()

    def position(self, asset: str, amount: float) -> None:
        self._position.labels(asset).set(amount)

    def beat(self, loop: str) -> None:
        """Record one turn of a loop."""
        self._beats[loop] = time.monotonic()

    def age_s(self, loop: str) -> float:
        """Seconds since a loop's last turn."""
        return time.monotonic() - self._beats[loop]
