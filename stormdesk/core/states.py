"""The states of one run on its host. Pure.

Theory of operation. A host keeps one record for each run. Whoever acts on the host (the arming, a watchdog, the injector, a
reverter) reports an event; the table says to which state it leads, and the record gets a line. What the table does not have
is refused, and its reporter must not go on: an inject that is not acknowledged, a second inject, anything of the injector once
somebody reverts. So the record is the one place where those who know nothing of each other agree.

- Reverting is allowed from every state but the end, and is never undone: from REVERTING only REVERTED and REVERT_FAILED follow.
- An event that leads to the state itself is allowed and writes nothing: of several reverters, the first one stays on record.
- REVERT_FAILED is no end: whoever tries again and verifies it ends the run as well.
- REVERTED is the end. Clearing removes the record with all its states.

The columns: `bites`, may the fault come in here, and stay until a revert is verified? `stuck`, when does a run that stays in this
state need somebody? `as_planned`, does a run that goes well come by here?
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """What the last line of a record says. NEW: there is no line yet."""

    NEW = ""
    INTENT = "INTENT"
    ARMED = "ARMED"
    ACKED = "ACKED"
    INJECTING = "INJECTING"
    INJECTED = "INJECTED"
    CONFIRMED = "CONFIRMED"
    UNWITNESSED = "UNWITNESSED"
    FAILED = "FAILED"
    REVERTING = "REVERTING"
    REVERTED = "REVERTED"
    REVERT_FAILED = "REVERT_FAILED"


class Event(StrEnum):
    """What is reported, by whom: the arming (intend, acknowledge), the watchdog (arm), the injector (inject to fail), a
    reverter (revert to give_up)."""

    INTEND = "intend"
    ARM = "arm"
    ACKNOWLEDGE = "acknowledge"
    INJECT = "inject"
    FINISH = "finish"
    CONFIRM = "confirm"
    DOUBT = "doubt"
    FAIL = "fail"
    REVERT = "revert"
    VERIFY = "verify"
    GIVE_UP = "give_up"


class Stuck(StrEnum):
    """When a run in this state will not end by itself: never; always; after a moment, for what takes seconds; once no watchdog
    is alive or its deadline is well past."""

    NEVER = "never"
    ALWAYS = "always"
    AFTER_A_MOMENT = "after a moment"
    UNGUARDED = "unguarded"


@dataclass(frozen=True)
class Row:
    """One state: where each event leads, and the columns."""

    to: Mapping[Event, State]
    stuck: Stuck
    bites: bool = False
    as_planned: bool = True


_REVERT = {Event.REVERT: State.REVERTING}
TABLE: Mapping[State, Row] = {
    State.NEW: Row({Event.INTEND: State.INTENT, **_REVERT}, Stuck.AFTER_A_MOMENT),
    State.INTENT: Row({Event.ARM: State.ARMED, **_REVERT}, Stuck.AFTER_A_MOMENT),
    State.ARMED: Row({Event.ACKNOWLEDGE: State.ACKED, **_REVERT}, Stuck.AFTER_A_MOMENT),
    State.ACKED: Row({Event.INJECT: State.INJECTING, **_REVERT}, Stuck.UNGUARDED),
    State.INJECTING: Row({Event.FINISH: State.INJECTED, Event.FAIL: State.FAILED, **_REVERT}, Stuck.UNGUARDED, bites=True),
    State.INJECTED: Row(
        {Event.CONFIRM: State.CONFIRMED, Event.DOUBT: State.UNWITNESSED, **_REVERT}, Stuck.UNGUARDED, bites=True
    ),
    State.CONFIRMED: Row(_REVERT, Stuck.UNGUARDED, bites=True),
    State.UNWITNESSED: Row(_REVERT, Stuck.UNGUARDED, bites=True, as_planned=False),
    State.FAILED: Row(_REVERT, Stuck.UNGUARDED, bites=True, as_planned=False),
    State.REVERTING: Row(
        {**_REVERT, Event.VERIFY: State.REVERTED, Event.GIVE_UP: State.REVERT_FAILED}, Stuck.AFTER_A_MOMENT
    ),
    State.REVERT_FAILED: Row(
        {Event.REVERT: State.REVERT_FAILED, Event.GIVE_UP: State.REVERT_FAILED, Event.VERIFY: State.REVERTED},
        Stuck.ALWAYS, as_planned=False,
    ),
    State.REVERTED: Row({Event.VERIFY: State.REVERTED}, Stuck.NEVER),
}  # fmt: skip


def row(state: str) -> Row:
    """The row of a state as a host wrote it; one that this version does not know needs somebody."""
    return TABLE[State(state)] if state in set(State) else Row({}, Stuck.ALWAYS, as_planned=False)


def as_shell() -> str:
    """The table for the host: `sd_next <state> <event>` sets $sd_next, and fails where the table has nothing."""
    leads_to: dict[State, list[str]] = {}
    for state, each in TABLE.items():
        for event, to in each.to.items():
            leads_to.setdefault(to, []).append(f"{state}/{event}")
    lines = [f"{' | '.join(pairs)}) sd_next={to} ;;" for to, pairs in leads_to.items()]
    return "\n".join(["sd_next() {", "case $1/$2 in", *lines, "*) sd_next=; return 1 ;;", "esac", "}", ""])
