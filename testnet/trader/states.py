"""The order state machine. Pure; this table has all allowed transitions.

    PENDING_NEW ─► NEW ─► PARTIALLY_FILLED ─► FILLED
         │  └────► REJECTED              └──► CANCELED, EXPIRED
         └► UNKNOWN ─► any of them, after a query at the venue

A terminal state is never left, and transitions never go back: late events change nothing.
"""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """An order's state, as PostgreSQL holds it."""

    PENDING_NEW = "PENDING_NEW"
    UNKNOWN = "UNKNOWN"
    NEW = "NEW"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"
    REJECTED = "REJECTED"


TERMINAL = frozenset({State.FILLED, State.CANCELED, State.EXPIRED, State.REJECTED})
_ENDS = frozenset({State.FILLED, State.CANCELED, State.EXPIRED})
NEXT: dict[State, frozenset[State]] = {
    State.PENDING_NEW: _ENDS | {State.NEW, State.PARTIALLY_FILLED, State.REJECTED, State.UNKNOWN},
    State.UNKNOWN: _ENDS | {State.NEW, State.PARTIALLY_FILLED, State.REJECTED},
    State.NEW: _ENDS | {State.PARTIALLY_FILLED},
    State.PARTIALLY_FILLED: _ENDS,
    **{state: frozenset() for state in TERMINAL},
}
_VENUE = {"EXPIRED_IN_MATCH": State.EXPIRED, "PENDING_CANCEL": State.NEW, "PENDING_NEW": State.NEW}


def advance(now: State, to: State) -> State:
    """The state after an event `to`: `to` where the table allows it, else unchanged."""
    return to if to in NEXT[now] else now


def from_venue(status: str) -> State:
    """A venue status as a State. Raises ValueError for one that does not exist."""
    return _VENUE.get(status) or State(status)
