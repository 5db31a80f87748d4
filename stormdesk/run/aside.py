"""What a schedule does besides faults: operators' tasks, questions to people, remarks. Each is in the record."""

from __future__ import annotations

import select
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from stormdesk.core.errors import UsageError
from stormdesk.core.schedule import Act, Note, Pause
from stormdesk.run import flags
from stormdesk.run.record import Record
from stormdesk.run.show import Show
from stormdesk.ssh.pool import Pool

RUN = "{run}"  # in the options of a task: the id of this run
LOOK_S = 0.2  # how often a question looks whether it has been answered



@dataclass(frozen=True)
class Acted:
    """What came of an operator's task, in words, and the services that it restarted, as (host, service)."""

    said: str
    restarted: tuple[tuple[str, str], ...] = ()


Acting = Callable[[Pool, Act], Acted]  # does an operator's task; raises StormdeskError when it does not come about


def no_acts(_: Pool, act: Act) -> Acted:
    """For hosts without a stack that has operators."""
    raise UsageError(f"{act.task}: there is no trading stack here")


class Aside:
    """The acts, questions and notes of one run. `restarted` are the services that acts have restarted, once for each time."""

    def __init__(self, pool: Pool, record: Record, show: Show, acting: Acting) -> None:
        self.restarted: list[tuple[str, str]] = []
        self._pool = pool
        self._record = record
        self._show = show
        self._acting = acting

    def act(self, op: str, act: Act) -> None:
        """Do an operator's task. Raises StormdeskError when it fails."""
        began = time.monotonic()
        options = {key: value.replace(RUN, self._record.run_id) for key, value in act.options.items()}
        self._record.event("act", op=op, task=act.task, options=options)
        done = self._acting(self._pool, Act(act.task, options))
        self.restarted += done.restarted
        took_s = time.monotonic() - began
        self._record.event("acted", op=op, task=act.task, said=done.said, took_s=round(took_s, 3))
        self._show.phase("act", f"{act.task}: {done.said}", took_s, ok=True)

    def ask(self, op: str, pause: Pause) -> None:
        """Put the question, and wait for a line on a terminal; anywhere else, and with NONINTERACTIVE=1, nobody can answer, and it
        goes on at once."""
        self._record.event("note", op=op, who="runbook", text=pause.question)
        self._show.phase("pause", f"{pause.question}   (Enter goes on)")
        until = time.monotonic() + (0 if flags.load().noninteractive else pause.timeout_s)
        while sys.stdin.isatty() and time.monotonic() < until:
            if select.select([sys.stdin], [], [], LOOK_S)[0]:
                if text := sys.stdin.readline().strip():
                    self._record.event("note", op=op, who="terminal", text=text)
                return

    def note(self, op: str, note: Note) -> None:
        self._record.event("note", op=op, who="runbook", text=note.text)
        self._show.phase("note", note.text)
