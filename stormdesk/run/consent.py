"""`--confirm`: people say yes to each lane before anything is touched."""

from __future__ import annotations

import sys

from stormdesk.core.errors import RefusedError, UsageError
from stormdesk.core.schedule import Act, Inject, Note, Op, Pause, Schedule
from stormdesk.run.show import Show

YES = ("y", "yes")


def need_terminal() -> None:
    """Raises UsageError where nobody could answer."""
    if not sys.stdin.isatty():
        raise UsageError("--confirm asks on a terminal, and standard input is none")


def ask(schedule: Schedule, show: Show) -> None:
    """Put the question for each lane. Raises RefusedError at the first no."""
    for lane in dict.fromkeys(op.lane for op in schedule):
        does = "; ".join(_does(op) for op in schedule if op.lane == lane)
        show.phase("confirm", f"lane {lane}: {does}.   Go on? y or n")
        if sys.stdin.readline().strip().lower() not in YES:
            raise RefusedError(f"lane {lane} was not confirmed. Nothing was changed")


def _does(op: Op) -> str:
    match op.do:
        case Inject() as do:
            return f"{do.fault.name} on {','.join(do.hosts)} for {do.hold_s:g} s"
        case Act() as act:
            return act.task
        case Pause() as pause:
            return f"ask: {pause.question}"
        case Note() as note:
            return f"note: {note.text}"
    return f"wait {op.do.s:g} s"
