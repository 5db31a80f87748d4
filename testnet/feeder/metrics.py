"""The feeder's metrics: plain integers, because a counter object costs more than a message; collected on request."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from typing_extensions import override


@dataclass
class Counts:
    """feeder_<name>_total, with its help text."""

    messages: int = field(default=0, metadata={"what": "Messages from the venue."})
    malformed: int = field(default=0, metadata={"what": "Malformed messages from the venue."})
    published: int = field(default=0, metadata={"what": "Messages put on the bus."})
    refused: int = field(default=0, metadata={"what": "Batches that the bus refused."})
    sequence_gaps: int = field(default=0, metadata={"what": "Gaps in depth events."})
    trade_gaps: int = field(default=0, metadata={"what": "Gaps in trades."})
    resyncs: int = field(default=0, metadata={"what": "Books resynchronised from a snapshot."})
    refetched: int = field(default=0, metadata={"what": "Snapshots that did not fit the waiting events."})
    backfilled: int = field(default=0, metadata={"what": "Trades requested by REST."})
    connects: int = field(default=0, metadata={"what": "Connections to the venue."})
    stale: int = field(default=0, metadata={"what": "Connections closed because they were silent."})


class Metrics(Collector):
    """Counters, and when each symbol was last seen. `more` are gauges and counters that are kept elsewhere."""

    def __init__(self, symbols: Sequence[str]) -> None:
        self.counts = Counts()
        self.heard = {symbol: time.monotonic() for symbol in symbols}
        self.registry = CollectorRegistry()
        self._gauges: list[tuple[str, str, Callable[[], float]]] = []
        self._counters: list[tuple[str, str, Callable[[], float]]] = []
        self.registry.register(self)

    def gauge(self, name: str, what: str, read: Callable[[], float]) -> None:
        """feeder_<name>, collected on request."""
        self._gauges.append((name, what, read))

    def counter(self, name: str, what: str, read: Callable[[], float]) -> None:
        """feeder_<name>_total, collected on request."""
        self._counters.append((name, what, read))

    def age_s(self, symbol: str) -> float:
        """Seconds since the last message about the symbol."""
        return time.monotonic() - self.heard[symbol]

    def ages(self) -> dict[str, float]:
        return {symbol: round(self.age_s(symbol), 3) for symbol in self.heard}

    @override
    def collect(self) -> Iterator[Metric]:
        for it in fields(self.counts):
            yield CounterMetricFamily(f"feeder_{it.name}", it.metadata["what"], value=getattr(self.counts, it.name))
        for name, what, read in self._counters:
            yield CounterMetricFamily(f"feeder_{name}", what, value=read())
        for name, what, read in self._gauges:
            yield GaugeMetricFamily(f"feeder_{name}", what, value=read())
        age = GaugeMetricFamily("feeder_stream_age_seconds", "Since the last message.", labels=["stream"])
        for symbol in self.heard:
            age.add_metric([symbol.lower()], self.age_s(symbol))
        yield age
