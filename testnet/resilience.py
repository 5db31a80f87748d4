"""The numbers of resilience.yaml as one validated value. Every service accepts overrides in the config key `resilience`."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated, Any

import msgspec
import yaml

PACKAGED = Path(__file__).with_suffix(".yaml")

Positive = Annotated[float, msgspec.Meta(gt=0, le=86_400)]
Share = Annotated[float, msgspec.Meta(ge=0, lt=1)]
Count = Annotated[int, msgspec.Meta(ge=1, le=10_000_000)]
Pauses = Annotated[list[Positive], msgspec.Meta(min_length=1)]
Overrides = dict[str, dict[str, Any]]


class ResilienceError(ValueError):
    """The document is not valid; the message names the value."""


class Configured(msgspec.Struct, frozen=True, kw_only=True):
    """The configuration of a service; invalid overrides make it invalid."""

    resilience: Overrides = {}

    def __post_init__(self) -> None:
        load(self.resilience)


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All values are required, and no others allowed."""


class Leader(Section, frozen=True):
    ttl_s: Positive
    renew_s: Positive

    def __post_init__(self) -> None:
        if self.renew_s * 2 > self.ttl_s:
            raise ValueError("renew_s must be at most half of ttl_s")


class Order(Section, frozen=True):
    request_timeout_s: Positive
    connect_timeout_s: Positive
    recv_window_ms: Annotated[int, msgspec.Meta(ge=1, le=60_000)]
    quiet_s: Positive

    def __post_init__(self) -> None:
        if self.quiet_s < self.recv_window_ms / 1000 + self.request_timeout_s:
            raise ValueError("quiet_s must be at least recv_window_ms and request_timeout_s together")


class Retry(Section, frozen=True):
    attempts: Count
    base_s: Positive
    factor: Annotated[float, msgspec.Meta(ge=1, le=10)]
    cap_s: Positive
    jitter: Share


class Breaker(Section, frozen=True):
    failures: Count
    window_s: Positive
    open_s: Positive


class Dedup(Section, frozen=True):
    ttl_s: Positive


class Balance(Section, frozen=True):
    max_age_s: Positive


class Throttle(Section, frozen=True):
    orders_per_10s: Count
    weight_per_min: Count
    queue: Count


class Risk(Section, frozen=True):
    collar: Share
    max_order_value: Annotated[float, msgspec.Meta(gt=0)]
    max_order_qty: dict[str, Annotated[float, msgspec.Meta(gt=0)]]
    messages_per_s: Count
    repeats: Count
    repeat_window_s: Positive


class KillSwitch(Section, frozen=True):
    verify_s: Positive


class Ledger(Section, frozen=True):
    restore_s: Positive


class Snapshot(Section, frozen=True):
    interval_s: Positive
    keep: Count


class Reconcile(Section, frozen=True):
    interval_s: Positive


class Trader(Section, frozen=True):
    stale_s: Positive
    hold_s: Positive
    drain_s: Positive


class Feeder(Section, frozen=True):
    stale_s: Annotated[float, msgspec.Meta(gt=0, lt=10)]
    backoff_s: Annotated[list[Positive], msgspec.Meta(min_length=2, max_length=2)]
    buffer: Count
    delivery_timeout_s: Positive


class Health(Section, frozen=True):
    interval_s: Positive
    max_age_intervals: Positive


class Degraded(Section, frozen=True):
    rest_ms: Positive
    window_s: Positive


class Guard(Section, frozen=True):
    check_s: Positive
    probe_s: Positive
    bad_checks: Count
    verify_s: Positive
    backoff_s: Pauses
    attempts: Count
    notify_s: Positive


class Orchestrator(Section, frozen=True):
    check_s: Positive
    answer_s: Positive


class Resilience(Section, frozen=True):
    """All sections. `rto_s` is by scenario id, `H_01`."""

    leader: Leader
    order: Order
    retry: Retry
    breaker: Breaker
    dedup: Dedup
    balance: Balance
    throttle: Throttle
    risk: Risk
    kill_switch: KillSwitch
    ledger: Ledger
    snapshot: Snapshot
    reconcile: Reconcile
    trader: Trader
    feeder: Feeder
    health: Health
    degraded: Degraded
    guard: Guard
    orchestrator: Orchestrator
    rto_s: dict[str, Positive]

    def __post_init__(self) -> None:
        lasts_s = self.leader.ttl_s * 0.9 - self.leader.renew_s
        if lasts_s <= self.order.recv_window_ms / 1000:
            raise ValueError(f"order.recv_window_ms must be below {lasts_s * 1000:.0f}, what the leader's lock lasts")


def load(overrides: Overrides | None = None) -> Resilience:
    """The packaged numbers with overrides, section by section. Raises ResilienceError."""
    document = _packaged()
    unknown = set(overrides or {}) - set(document)
    if unknown:
        raise ResilienceError(f"resilience: there is no section {', '.join(sorted(unknown))}")
    merged = {name: {**values, **(overrides or {}).get(name, {})} for name, values in document.items()}
    try:
        return msgspec.convert(merged, Resilience)
    except msgspec.ValidationError as error:
        raise ResilienceError(f"resilience: {error}") from error


@cache
def _packaged() -> dict[str, dict[str, Any]]:
    document: dict[str, dict[str, Any]] = yaml.safe_load(PACKAGED.read_text())
    return document
