"""The pulse of the trading stack, from the traders' /metrics once a second, and the instant of recovery. Pure.

Names and meanings of the metrics: docs/formats/trader.md.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from operator import add
from typing import Any

from stormdesk.core.goals import STALL_S
from stormdesk.evidence.metrics import series

STABLE_S = 2.0  # trading must have gone well for so long before it counts as recovered


@dataclass(frozen=True)
class Pulse:
    """One reading of all traders. Counters are sums over traders; `ack_s` are cumulative buckets (upper bound, count)."""

    t: float
    ready: bool
    leaders: int
    accepted: int
    refused: int
    rejected: int
    unknown: int
    ack_s: tuple[tuple[float, int], ...] = ()
    more: Mapping[str, float] = field(default_factory=dict)

    def metrics(self) -> dict[str, float]:
        """As the `sample` event keeps them."""
        names = ("ready", "leaders", "accepted", "refused", "rejected", "unknown")
        return {**{name: float(getattr(self, name)) for name in names}, **self.more}


# What runbooks may expect of the traders besides: counters are sums, and known by label too where one is named here ("alarms.drift").
COUNTERS = {
    "trader_skipped_total": ("skipped", "reason"),
    "trader_alarms_total": ("alarms", "kind"),
    "trader_duplicate_signals_total": ("duplicates", ""),
    "trader_ledger_corrupt_lines_total": ("corrupt_lines", ""),
    "bus_missed_total": ("missed", ""),
    "trader_snapshot_flushes": ("snapshot_flushes", ""),
    "trader_snapshot_failures": ("snapshot_failures", ""),
}
GAUGES: Mapping[str, tuple[str, Callable[[float, float], float]]] = {
    "trader_kill_switch_active": ("kill_switches", add),
    "trader_throttle_queue_depth": ("queue", add),
    "trader_snapshot_buffered": ("snapshot_buffered", add),
    "trader_leader_epoch": ("epoch", max),
    "trader_breaker_state": ("breaker", max),
    "trader_balance_age_seconds": ("balance_age", min),
    "trader_heartbeat_age_seconds": ("slowest_loop_s", max),
    "bus_consumer_lag": ("lag", max),
}
SEPARATOR = "@@stormdesk"


@dataclass(frozen=True)
class Answer:
    """What one trader said: /ready was 200, its health document ({} when unreadable), the text of its metrics."""

    ready: bool
    health: Mapping[str, Any]
    metrics: str


def answer(text: str) -> Answer | None:
    """From the bodies of /ready, /health and /metrics, each followed by a line `SEPARATOR <status>`; None when it did not answer."""
    pages = re.findall(rf"(.*?)\n{SEPARATOR} (\d+)\n", text, re.DOTALL)
    if len(pages) != 3 or pages[2][1] != "200":
        return None
    try:
        health = json.loads(pages[1][0])
    except ValueError:
        health = {}
    return Answer(pages[0][1] == "200", health if isinstance(health, dict) else {}, pages[2][0])


def pulse(t: float, answers: Iterable[Answer], silent: Iterable[Answer] = ()) -> Pulse:
    """The sum over all traders that answered; of those that are silent just now, the counters of their last answer.

    Without these, a trader that answers late would look as if its orders had come undone, and all come again.
    """
    counts = dict.fromkeys(("accepted", "refused", "rejected"), 0.0)
    ready, leaders, unknown = False, 0, 0.0
    buckets: dict[float, int] = {}
    more = {ours: 0.0 for ours, _ in COUNTERS.values()}  # a counter of reasons is not shown before the first one
    for said, speaks in [*((said, True) for said in answers), *((said, False) for said in silent)]:
        ready = ready or (speaks and said.ready)
        for name, labels, value in series(said.metrics):
            _keep(more, name, labels, value, speaks=speaks)
            if name == "trader_orders_total" and labels.get("state") in counts:
                counts[labels["state"]] += value
            elif name == "trader_order_ack_seconds_bucket":
                bound = float(labels.get("le", "inf"))
                buckets[bound] = buckets.get(bound, 0) + int(value)
            elif name == "trader_is_leader" and speaks:
                leaders += int(value)
            elif name == "trader_order_unknown" and speaks:
                unknown += value
    return Pulse(
        t, ready, leaders, int(counts["accepted"]), int(counts["refused"]), int(counts["rejected"]), int(unknown),
        tuple(sorted(buckets.items())), more,
    )  # fmt: skip


def _keep(more: dict[str, float], name: str, labels: Mapping[str, str], value: float, *, speaks: bool) -> None:
    """Add a sample to what runbooks may expect. Of a trader that is silent only the counters go on."""
    if name in COUNTERS:
        ours, label = COUNTERS[name]
        for key in (ours, f"{ours}.{labels.get(label, '')}") if label else (ours,):
            more[key] = more.get(key, 0.0) + value
    elif name in GAUGES and speaks:
        ours, join = GAUGES[name]
        more[ours] = join(more[ours], value) if ours in more else value


def ack_p99_ms(before: Pulse, after: Pulse) -> float | None:
    """The 99th percentile of order acknowledgements between two readings, in ms (the bucket's upper bound); None without any."""
    earlier = dict(before.ack_s)
    grown = [(bound, count - earlier.get(bound, 0)) for bound, count in after.ack_s]
    total = grown[-1][1] if grown else 0
    if total <= 0:
        return None
    bound = next(bound for bound, count in grown if count >= 0.99 * total)
    return None if bound == float("inf") else bound * 1000


@dataclass
class Recovery:
    """Follows the pulse from the instant the clock starts (`from_t`, seconds since 1970) until trading is steady again.

    Trading is *bad* while no reading comes, no trader is ready, there is not exactly one leader, orders are refused, or
    none was accepted for STALL_S. It has recovered at the first good reading after the last bad one, once STABLE_S went well.
    """

    from_t: float
    last: Pulse | None = None  # the reading before the clock started, so that the first one after it can show growth
    recovered_at: float | None = None
    why: str = "no reading yet"
    _good_since: float | None = field(default=None, repr=False)
    _grew_at: float = field(default=0.0, repr=False)

    def feed(self, t: float, now: Pulse | None) -> bool:
        """Take one reading (None: nobody answered); True once recovered."""
        self.why = self._bad(t, now)
        if now is not None:
            self.last = now
        if self.why:
            self._good_since, self.recovered_at = None, None
        else:
            self._good_since = self._good_since or t
            self.recovered_at = self._good_since
        return self.settled(t)

    def settled(self, t: float) -> bool:
        return self._good_since is not None and t - self._good_since >= STABLE_S

    @property
    def took_s(self) -> float | None:
        return None if self.recovered_at is None else max(0.0, self.recovered_at - self.from_t)

    def _bad(self, t: float, now: Pulse | None) -> str:
        if now is None:
            return "no trader answers"
        last = self.last
        if (
            last is not None and now.accepted != last.accepted and now.accepted > 0
        ):  # less: the counters of a new process
            self._grew_at = t
        if now.leaders != 1:
            return f"{now.leaders} leaders"
        if not now.ready:
            return "no trader is ready"
        if last is not None and now.refused > last.refused:
            return f"orders are refused ({now.refused - last.refused} more)"
        if t - self._grew_at > STALL_S:
            return "no order is accepted"
        return ""
