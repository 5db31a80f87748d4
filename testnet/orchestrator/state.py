"""The orchestrator's state, stored as state_bus.json. Pure: functions take a state and return the next one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec
from msgspec.structs import replace

SELF = "orchestrator"


class Pause(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """No new orders: who paused, why, since when (seconds since 1970)."""

    by: str
    reason: str
    t: float


class Leader(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The leader and its fencing epoch."""

    instance: str
    epoch: int


class Alert(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A guard's alert; `t` is when we first saw it, `answered_by` is "" until a person has taken it."""

    text: str
    t: float
    answered_by: str = ""


class State(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole document. The keys of `alerts` are `<host>:<id>`. `aborted`: the kill switches must be on, too."""

    version: Literal[1] = 1
    pause: Pause | None = None
    aborted: bool = False
    leader: Leader | None = None
    alerts: dict[str, Alert] = {}

    @property
    def reasons(self) -> list[str]:
        """Why the desk is paused; empty when it trades."""
        told = [f"{self.pause.by}: {self.pause.reason}"] if self.pause else []
        return [*told, *([] if self.leader else ["no leader"])]


def pause(state: State, by: str, reason: str, now: float) -> State:
    """Pause: no new orders. An existing pause stays as it is."""
    return state if state.pause else replace(state, pause=Pause(by, reason, now))


def abort(state: State, by: str, reason: str, now: float) -> State:
    """Pause, and pull all kill switches."""
    return replace(pause(state, by, reason, now), aborted=True)


def resume(state: State, by: str) -> State:
    """A person resumes trading, which also answers every alert. Kill switches are reset separately."""
    alerts = {name: replace(alert, answered_by=alert.answered_by or by) for name, alert in state.alerts.items()}
    return replace(state, pause=None, aborted=False, alerts=alerts)


def answer(state: State, name: str, by: str) -> State:
    """A person answers one alert. Raises KeyError when there is no such alert."""
    return replace(state, alerts={**state.alerts, name: replace(state.alerts[name], answered_by=by)})


def follow(state: State, leaders: Iterable[Leader]) -> State:
    """Update the leader. If two claim it (one has not noticed yet), the higher epoch wins."""
    return replace(state, leader=max(leaders, key=lambda leader: leader.epoch, default=None))


def update_alerts(state: State, host: str, raised: dict[str, str], now: float) -> State:
    """Update the alerts of a host's guard (texts by id); those that it no longer raises are removed."""
    others = {name: alert for name, alert in state.alerts.items() if name.partition(":")[0] != host}
    mine = {f"{host}:{name}": text for name, text in raised.items()}
    known = {name: state.alerts.get(name) or Alert(text, now) for name, text in mine.items()}
    return replace(state, alerts={**others, **known})


def pause_if_unanswered(state: State, now: float, answer_s: float) -> State:
    """Pause if an alert has been unanswered for longer than `answer_s`."""
    late = [n for n, a in sorted(state.alerts.items()) if not a.answered_by and now - a.t > answer_s]
    return pause(state, SELF, f"nobody answered {', '.join(late)} for {answer_s:g} s", now) if late else state
