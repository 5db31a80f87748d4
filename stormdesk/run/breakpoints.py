"""The breakpoint of a run: the event that its fault waits for, and that waits for the fault.

    hosts are armed -> set -> the event comes, and is held -> inject, acknowledged -> look whether it is held still -> let go

Who makes the event holds it: a `Holder`. Both of its ends are safe: whatever becomes of us, a holder lets go by itself at its own
deadline. An event that does not come is a refusal: nothing is injected, and nothing stays set.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from stormdesk.core.anchors import Event
from stormdesk.core.errors import HostError, RefusedError, StormdeskError, UsageError
from stormdesk.core.model import HostFacts
from stormdesk.core.outcome import HostEnd
from stormdesk.core.plan import Plan
from stormdesk.core.safety import Allow
from stormdesk.run.record import Events
from stormdesk.run.show import Show
from stormdesk.ssh import patience
from stormdesk.ssh.pool import Pool

SPARE_S = 20.0  # how much longer it is held at most: for the inject, and for the look
POLL_S = 4.0  # one question to the host of the event


@dataclass(frozen=True)
class Window:
    """Is the event held still, now that the fault is in? `evidence` says how that is known."""

    held: bool
    evidence: str


class Holder(Protocol):
    """Who makes the event, and holds it. `host` is where; `within_s` how long it may take to come."""

    event: Event
    within_s: float

    @property
    def host(self) -> str: ...

    @property
    def facts(self) -> Mapping[str, HostFacts]:
        """The hosts that it touches, once `prepare` has read them: they count for the blast radius."""

    def prepare(self, allow: Allow) -> Sequence[Plan]:
        """See that it can be done, before anything is touched; the plans for it. Raises UsageError, RefusedError or TransportError."""

    def set(self, record: Events) -> str:
        """Set it, for as long as it may take and SPARE_S more; says how. Raises StormdeskError."""

    def wait(self, within_s: float) -> str:
        """The evidence that the event has come and is held, or "" if it has not after that time. Raises StormdeskError when it
        cannot come any more."""

    def window(self) -> Window:
        """Is it held still? Raises StormdeskError."""

    def let_go(self) -> None:
        """Let the event go on, or forget it; safe at any time, also twice. Raises StormdeskError."""

    def ends(self) -> Sequence[HostEnd]:
        """How what was armed for it has ended."""


HolderOf = Callable[[Pool, Event, float], Holder]


def nobody(_: Pool, event: Event, __: float) -> Holder:
    """For hosts without a stack of ours, where nobody can hold an event."""
    raise UsageError(f"--at {event}: nobody can hold that event here")


class Breakpoint:
    """One run's: it acts through its holder, and writes down what came of it."""

    def __init__(self, holder: Holder, record: Events, show: Show) -> None:
        self._holder = holder
        self._record = record
        self._show = show
        self._come_mono = 0.0
        self._set = self._over = False
        self.halted = False  # set by another thread, which lets go afterwards

    @property
    def within_s(self) -> float:
        return self._holder.within_s

    def come(self) -> None:
        """Set it and wait. Raises RefusedError when the event does not come in time."""
        began = time.monotonic()
        self._set = True
        self._unless_halted()
        how = self._holder.set(self._record)
        self._event("breakpoint.set", within_s=self.within_s, how=how)
        self._show.phase("break", f"waiting for {self._holder.event}, for {self.within_s:g} s at most: {how}")
        until = time.monotonic() + self.within_s
        while not (evidence := self._holder.wait(min(POLL_S, max(0.0, until - time.monotonic())))):
            self._unless_halted()
            if time.monotonic() >= until:
                raise RefusedError(
                    f"{self._holder.event} did not come within {self.within_s:g} s. Nothing was injected   (--at-within)"
                )
        self._come_mono = time.monotonic()
        waited_s = round(self._come_mono - began, 3)
        self._event("breakpoint.come", waited_s=waited_s, evidence=evidence)
        self._show.phase("break", f"{self._holder.event}: {evidence}", waited_s, ok=True)

    def _unless_halted(self) -> None:
        """Raises RefusedError, with nothing left set, when the run was stopped meanwhile."""
        if self.halted:
            with contextlib.suppress(StormdeskError):
                self._holder.let_go()
            raise RefusedError(f"the run was stopped before {self._holder.event} came. Nothing was injected")

    def landed(self) -> None:
        """The fault is in and acknowledged: see that the event is held still, and let it go. Raises HostError when it is not."""
        window = self._holder.window()
        held_s = round(time.monotonic() - self._come_mono, 3)
        self._holder.let_go()
        self._close(held=window.held, held_s=held_s, evidence=window.evidence)
        text = f"the fault came {'while it was held' if window.held else 'too late'}: {window.evidence}"
        self._show.phase("break", text, held_s, ok=window.held)
        if not window.held:
            raise HostError(f"the fault did not come at {self._holder.event}: {window.evidence}")

    def left(self) -> str:
        """What is held, and until when, for who leaves now; "" for nothing."""
        if not self._set or self._over:
            return ""
        return f"{self._holder.event} goes on by itself within {self.within_s + patience.scaled(SPARE_S):.0f} s"

    def let_go(self) -> Sequence[HostEnd]:
        """Let go whatever is held, however far it came. Never raises: what it could not do lets go by itself, at its deadline."""
        if not self._set:
            return []
        why = ""
        if not self._over:
            try:
                self._holder.let_go()
            except StormdeskError as error:
                why = f"{error}; {self.left()}"
                self._show.phase("break", why, ok=False)
            held_s = round(time.monotonic() - self._come_mono, 3) if self._come_mono else 0.0
            self._close(held=False, held_s=held_s, evidence=why or "let go before the fault was in")
        return self._holder.ends()

    def _close(self, *, held: bool, held_s: float, evidence: str) -> None:
        self._over = True
        self._event("breakpoint.over", held=held, held_s=held_s, evidence=evidence)

    def _event(self, name: str, **values: object) -> None:
        self._record.event(name, host=self._holder.host, at=str(self._holder.event), **values)


def prepared(holder: Holder | None, plans: Sequence[Plan], allow: Allow) -> Sequence[Plan]:
    """The holder's plans, when that can be done; before anything is touched. Raises RefusedError where a fault takes our own connection
    away: it could not tell us when it is in, and the event would wait in vain."""
    if holder is None:
        return []
    for plan in plans:
        if plan.control.cuts:
            raise RefusedError(
                f"--at {holder.event}: {plan.id.fault} cuts our own connection to {plan.id.host}, so nobody could say when the event "
                "may go on. Nothing was changed"
            )
    return holder.prepare(allow)
