"""A host's record of a run for operators: whether it is stuck, when it heals, and the line about it. Pure."""

from __future__ import annotations

from typing import Any

from stormdesk.core import states
from stormdesk.core.states import State, Stuck
from stormdesk.host.probe import HostRecord, HostStatus

TRANSITION_S = 15.0  # arming and reverting take less


def stuck(record: HostRecord, status: HostStatus) -> bool:
    """Is there something that will not end by itself?

    Reverted, or guarded by a watchdog before its deadline, is fine; so is what is being armed or reverted right now.
    """
    match states.row(record.state).stuck:
        case Stuck.NEVER:
            return False
        case Stuck.ALWAYS:
            return True
        case Stuck.AFTER_A_MOMENT:
            since = record.lines[-1].uptime_cs if record.lines else status.now_cs
            return status.now_cs - since > 100 * TRANSITION_S
        case Stuck.UNGUARDED:
            return not record.watchdogs or status.now_cs > int(record.value("deadline") or 0) + 500


def describe(record: HostRecord, status: HostStatus) -> dict[str, Any]:
    deadline = int(record.value("deadline") or 0)
    return {
        "run": record.run_id,
        "fault": record.value("fault"),
        "state": record.state,
        "left_s": max(0.0, (deadline - status.now_cs) / 100),
        "watchdogs": len(record.watchdogs),
        "reverted_by": record.value("reverted_by"),
        "lateness_ms": record.lateness_ms,
        "stuck": stuck(record, status),
        "as_planned": all(states.row(line.state).as_planned for line in record.lines if line.state != "STEP"),
        "lines": [f"{line.uptime_cs} {line.state} {line.text}".strip() for line in record.lines],
    }


def sentence(record: HostRecord, status: HostStatus) -> str:
    """One line for people."""
    known = describe(record, status)
    start = f"{record.run_id}  {known['fault']:<12}"
    if record.state == State.REVERTED:
        late = f", {record.lateness_ms} ms late" if record.lateness_ms else ""
        return f"{start} reverted by {known['reverted_by']}{late}; only its record is left   (invoke chaos.recover)"
    if known["stuck"]:
        return f"{start} STUCK in {record.state or State.INTENT} with {known['watchdogs']} watchdogs"
    return f"{start} {record.state}, heals by itself in {known['left_s']:.0f} s"
