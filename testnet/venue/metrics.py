"""The venue's metrics, collected from its state on request."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from stormdesk.testnet.venue.order_entry import Desk

if sys.version_info >= (3, 12):
    from typing import override
else:
    from typing_extensions import override


def numbers(desk: Desk) -> CollectorRegistry:
    """All of them."""
    registry = CollectorRegistry()
    exchange = desk.exchange
    for name, what, read in (
        ("venue_orders", "Orders accepted so far.", lambda: len(exchange.orders)),
        ("venue_trades", "Trades made so far.", exchange.trade_count),
        ("venue_open_orders", "Open orders; the house's quotes do not count.", exchange.open_count),
        ("venue_journal_lines", "Lines in the journal.", lambda: desk.journal.seq),
    ):
        Gauge(name, what, registry=registry).set_function(read)
    registry.register(Counts(desk))
    return registry


class Counts(Collector):
    """What was refused, by reason."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    @override
    def collect(self) -> Iterator[CounterMetricFamily]:
        for name, what, label, counts in (
            ("venue_rejects", "Orders refused.", "code", self._desk.rejects),
            ("venue_bad_input", "Invalid requests.", "what", self._desk.bad_input),
            ("venue_dropped", "WebSockets that the venue ended.", "why", self._desk.hub.dropped),
            ("venue_throttled", "Answers 429 and 418.", "status", self._desk.throttled),
        ):
            family = CounterMetricFamily(name, what, labels=[label])
            for value, count in counts.items():
                family.add_metric([str(value)], count)
            yield family
