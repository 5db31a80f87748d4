"""The guard's stages. Pure: instants (seconds of a monotonic clock) in, actions out.

    OBSERVE -> RESTART -> REWIRE -> OBSERVE
                  ^--------'|
                            '-> FAILSAFE -> NOTIFY -> FAILSAFE ... until a person clears it -> OBSERVE

REWIRE verifies a restart: the service has `verify_s` to become healthy, else it is restarted again, not sooner than `backoff_s`
after the last restart. After `attempts` unsuccessful restarts comes FAILSAFE. A restart is successful when the service was
healthy for `verify_s`; one that fails earlier stays in REWIRE and counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import msgspec

from stormdesk.testnet.resilience import Guard as Numbers


class Stage(StrEnum):
    """The stage of a guard."""

    OBSERVE = "OBSERVE"
    RESTART = "RESTART"
    REWIRE = "REWIRE"
    FAILSAFE = "FAILSAFE"
    NOTIFY = "NOTIFY"


LEGAL = {
    Stage.OBSERVE: {Stage.RESTART, Stage.REWIRE},
    Stage.RESTART: {Stage.REWIRE},
    Stage.REWIRE: {Stage.OBSERVE, Stage.RESTART, Stage.FAILSAFE},
    Stage.FAILSAFE: {Stage.NOTIFY, Stage.OBSERVE},
    Stage.NOTIFY: {Stage.FAILSAFE},
}


class Sight(StrEnum):
    """What one check saw of the service. DEAD: no process. STARTING: it has not answered yet. BAD: it does not work. BLIND: it
    does not work, and a restart would not help."""

    WELL = "well"
    BAD = "bad"
    DEAD = "dead"
    STARTING = "starting"
    BLIND = "blind"


class Todo(StrEnum):
    """An action that a check calls for."""

    RESTART = "restart"
    FAILSAFE = "failsafe"
    NOTIFY = "notify"


class Saved(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The state that survives the guard: autoheal_state.json. `attempts` are restarts since the service was last stable."""

    stage: Stage = Stage.OBSERVE
    attempts: int = 0
    reason: str = ""


class Move(msgspec.Struct, frozen=True):
    """One transition, for the log."""

    before: Stage
    after: Stage
    why: str


class IllegalMoveError(Exception):
    """A transition that is not in the table: a bug in this file."""


class Stages:
    """The state machine. `moves` are the transitions that have not been logged yet; the logger clears the list."""

    def __init__(self, numbers: Numbers, saved: Saved, now: float) -> None:
        self.stage = saved.stage
        self.attempts = saved.attempts
        self.reason = saved.reason
        self.moves: list[Move] = []
        self._numbers = numbers
        self._bad = self._dead = self._well = 0  # checks in a row
        self._since = now  # in this stage, or since the verification restarted
        self._restarted = now
        self._told = now

    @property
    def saved(self) -> Saved:
        """The state to restore after a restart of the guard."""
        return Saved(self.stage, self.attempts, self.reason)

    def check(self, now: float, sight: Sight, why: str) -> Sequence[Todo]:
        """Process one check; returns the actions, in order, to be done before the next one."""
        self._bad = self._bad + 1 if sight in (Sight.BAD, Sight.DEAD) else 0
        self._dead = self._dead + 1 if sight is Sight.DEAD else 0
        self._well = self._well + 1 if sight is Sight.WELL else 0
        match self.stage:
            case Stage.OBSERVE:
                return self._observe(now, sight, why)
            case Stage.RESTART:  # the guard died before it knew the result
                return (Todo.RESTART,)
            case Stage.REWIRE:
                return self._rewire(now, sight, why)
            case Stage.FAILSAFE | Stage.NOTIFY:
                return self._stay(now)

    def restarted(self, now: float, error: str) -> None:
        """Record that a restart was requested; `error` when the supervisor refused."""
        self._restarted = now
        self._go(Stage.REWIRE, now, error or "restarted")

    def told(self, now: float) -> None:
        """Record that people were notified."""
        self._told = now
        self._go(Stage.FAILSAFE, now, "told")

    def clear(self, now: float, by: str) -> bool:
        """A person takes the host out of FAILSAFE; False when it is not in it."""
        if self.stage is not Stage.FAILSAFE:
            return False
        self._go(Stage.OBSERVE, now, f"cleared by {by}")
        self.attempts, self.reason = 0, ""
        return True

    # -- inside --------------------------------------------------------------------------------------------------

    def _observe(self, now: float, sight: Sight, why: str) -> Sequence[Todo]:
        if self._bad >= self._numbers.bad_checks:
            if not self.attempts:
                return self._restart(now, why)
            self._go(Stage.REWIRE, now, f"the last restart did not hold: {why}")
            return self._rewire(now, sight, why)
        if self.attempts and self._well and now - self._since >= self._numbers.verify_s:
            self.attempts = 0
        return ()

    def _rewire(self, now: float, sight: Sight, why: str) -> Sequence[Todo]:
        if self._well >= self._numbers.bad_checks:
            self._go(Stage.OBSERVE, now, "well again")
            return ()
        if sight is Sight.BLIND:
            self._since = now  # a dependency is down: nothing can be verified
        if self._dead < self._numbers.bad_checks and now - self._since < self._numbers.verify_s:
            return ()
        if self.attempts >= self._numbers.attempts:
            self.reason = f"{why or 'not well in time'}; {self.attempts} restarts did not help"
            self._go(Stage.FAILSAFE, now, self.reason)
            return self._notify(now)
        pauses = self._numbers.backoff_s
        if now - self._restarted < pauses[min(self.attempts, len(pauses)) - 1]:
            return ()
        return self._restart(now, why or "not well in time")

    def _restart(self, now: float, why: str) -> Sequence[Todo]:
        self.attempts += 1
        self._bad = self._dead = 0
        self._go(Stage.RESTART, now, why)
        return (Todo.RESTART,)

    def _stay(self, now: float) -> Sequence[Todo]:
        """Nothing is restarted. The actions of FAILSAFE are repeated at every check, and people are notified repeatedly."""
        if self.stage is Stage.NOTIFY:
            return Todo.FAILSAFE, Todo.NOTIFY
        return self._notify(now) if now - self._told >= self._numbers.notify_s else (Todo.FAILSAFE,)

    def _notify(self, now: float) -> Sequence[Todo]:
        self._go(Stage.NOTIFY, now, self.reason)
        return Todo.FAILSAFE, Todo.NOTIFY

    def _go(self, after: Stage, now: float, why: str) -> None:
        if after not in LEGAL[self.stage]:
            raise IllegalMoveError(f"{self.stage} -> {after}: {why}")
        self.moves.append(Move(self.stage, after, why))
        self.stage, self._since = after, now
