"""The flags of the old chaos scripts, read from the environment in one place; docs/operators.md explains them.

A flag that is empty counts as not set.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from stormdesk.core.errors import UsageError
from stormdesk.core.inventory import Inventory
from stormdesk.core.schedule import Inject, Op, Schedule
from stormdesk.core.values import shown

HELP: Mapping[str, str] = {
    "NONINTERACTIVE": "1: questions to people are noted and not waited for",
    "PAUSE_ON_FAIL": "1: a run that failed leaves the desk in its safe state, as --abort-on-fail does",
    "API": "watch only this trader: http://HOST:PORT, or http://localhost:PORT for that port on every trader's host",
    "REDIS_CONTAINER": "the host, or the service, that a runbook's steps for redis are aimed at",
    "HEARTBEAT_MAX": "seconds: after the recovery each of the leader's heartbeats must be younger",
    "WAIT_READY_TIMEOUT": "seconds: the recovery budget of the run, in place of rto_s",
}
REDIS = "redis"
MOST_S = 3600.0
T = TypeVar("T")


@dataclass(frozen=True)
class Flags:
    """What is set. Seconds are None, and texts "", where it is not."""

    noninteractive: bool = False
    pause_on_fail: bool = False
    api: str = ""
    redis: str = ""
    heartbeat_max_s: float | None = None
    wait_ready_s: float | None = None


def load(environ: Mapping[str, str] = os.environ) -> Flags:
    """The flags of this process. Raises UsageError for a value that is none of its flag's."""

    def read(name: str, kind: Callable[[str], T], default: T) -> T:
        text = environ.get(name, "").strip()
        try:
            return kind(text) if text else default
        except ValueError as error:
            raise UsageError(f"{name}={shown(text)} in the environment: {error}") from None

    seconds: Callable[[str], float | None] = _seconds
    return Flags(
        noninteractive=read("NONINTERACTIVE", _switch, False),
        pause_on_fail=read("PAUSE_ON_FAIL", _switch, False),
        api=read("API", _url, ""),
        redis=read("REDIS_CONTAINER", str, ""),
        heartbeat_max_s=read("HEARTBEAT_MAX", seconds, None),
        wait_ready_s=read("WAIT_READY_TIMEOUT", seconds, None),
    )


def watched(traders: Mapping[str, int], addresses: Mapping[str, str], api: str) -> dict[str, int]:
    """Which traders are watched, each by its port: of `traders`, those that `api` means. `addresses` are the hosts'. Raises
    UsageError where it means none."""
    if not api:
        return dict(traders)
    place, _, port = api.removeprefix("http://").rpartition(":")
    if place in ("localhost", "127.0.0.1"):
        return dict.fromkeys(traders, int(port))
    found = {name: int(port) for name in traders if place in (name, addresses.get(name))}
    if not found:
        raise UsageError(f"API={shown(api)} in the environment: no trader is there. Traders: {', '.join(sorted(traders))}")
    return found


def aimed(schedule: Schedule, inventory: Inventory, redis: str) -> Schedule:
    """The schedule with its steps for redis aimed at the host or service `redis`. Raises UsageError for neither."""
    if not redis:
        return schedule
    runs = [name for name, host in sorted(inventory.hosts.items()) if redis in host.services]
    if redis not in inventory.hosts and not runs:
        raise UsageError(f"REDIS_CONTAINER={shown(redis)} in the environment: no host and no service of {inventory.environment}")

    def turned(op: Op) -> Op:
        if not isinstance(op.do, Inject) or getattr(op.do.fault, "service", None) != REDIS:
            return op
        if redis in inventory.hosts:
            return replace(op, do=replace(op.do, hosts=(redis,)))
        fault = replace(op.do.fault, service=redis)  # type: ignore[type-var]  # each fault is a dataclass
        return replace(op, do=replace(op.do, fault=fault, hosts=tuple(runs)))

    return replace(schedule, ops=tuple(map(turned, schedule.ops)))


def _switch(text: str) -> bool:
    if text not in ("0", "1"):
        raise ValueError("must be 0 or 1")
    return text == "1"


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= MOST_S:
        raise ValueError(f"must be seconds, above 0 and at most {MOST_S:g}")
    return seconds


def _url(text: str) -> str:
    place, _, port = text.removeprefix("http://").rstrip("/").rpartition(":")
    if not text.startswith("http://") or not place or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError("must be http://HOST:PORT")
    return text.rstrip("/")
