"""What some events of a run record contain: checks, the controller, targets. Pure."""

from __future__ import annotations

from typing import Literal

import msgspec


class Check(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one check said; `sources` counts what it read."""

    id: str
    verdict: Literal["held", "violated", "unknown"]
    why: str
    took_s: float = 0.0
    sources: dict[str, int] = {}


class Goal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A time that the runbook demands, in seconds. `start`: when its clock started, in seconds since 1970; `took_s`: null where it was
    not reached. `after`: inject, lift, or recovery: the clock that the faults' plans say."""

    kind: Literal["detect", "alert", "dor", "recovered"]
    within_s: float
    after: Literal["inject", "lift", "recovery"]
    step: str
    start: float | None = msgspec.field(name="from")
    took_s: float | None
    verdict: Literal["held", "violated", "unknown"]


class Controller(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The controller's process; `start` is field 22 of its stat."""

    pid: int
    start: str
    boot_id: str
    pid_namespace: str


class Target(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A word of `--host`, the hosts that it meant, and what decided: the seed, or how it was known who leads."""

    asked: str
    hosts: list[str]
    why: str


class Reading(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A line of outputs/metrics/during.jsonl: the numbers of one sample. `t` is in seconds since 1970; null: no answer."""

    t: float
    phase: Literal["steady", "hold", "recover"]
    metrics: dict[str, float | None] | None
