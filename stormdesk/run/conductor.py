"""Plays a schedule: begins each operation when it is due, in a thread of its own, watches the stack, and ends each hold in time.

The main thread only decides and waits, so a signal finds it where nothing is half done. Whatever it raises, the caller heals.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from typing import Any

from stormdesk.core.schedule import Act, Inject, Note, Op, Pause, Schedule, Wait
from stormdesk.run.injection import Injection
from stormdesk.run.recovery import SAMPLE_S, Observer
from stormdesk.run.show import Show
from stormdesk.ssh.signals import defer_signals, leave_point
from stormdesk.ssh.threads import Threads

LOOK_S = 0.05  # how often something is looked for that nobody tells us
HURRY_S = 5.0  # for an inject whose connections were closed
HEAL_S = 120.0  # for a revert that is under way: it has limits of its own


@dataclass(frozen=True)
class Hands:
    """What the conductor has done by others: `prepare` makes a fault ready right before it is due."""

    prepare: Callable[[Op], Injection]
    act: Callable[[str, Act], None]
    ask: Callable[[str, Pause], None]
    note: Callable[[str, Note], None]


@dataclass
class _Playing:
    """An operation that has begun. `job` is what a thread does for it at the moment."""

    op: Op
    job: Future[Any] | None = None
    injection: Injection | None = None
    until: float | None = None  # of a wait
    healing: bool = False


class Conductor:
    """`injections` are all that were begun, in order: whoever stops early heals those that have no `ends`."""

    def __init__(self, schedule: Schedule, hands: Hands, observer: Observer, show: Show) -> None:
        self.injections: list[Injection] = []
        self._schedule = schedule
        self._hands = hands
        self._observer = observer
        self._show = show
        self._threads = Threads(2 * len(schedule.ops) + 1)
        self._edges: dict[tuple[str, str], float] = {}  # when each edge was reached, monotonic
        self._playing: dict[str, _Playing] = {}
        self._watch: Future[str] | None = None
        self._watched = 0.0
        self._said = ""
        self._stopped = False

    def play(self) -> None:
        """Return when all has been done but the last healing. Raises what an operation raised, as soon as it is known."""
        self._edges["", "begin"] = self._edges["", "end"] = time.monotonic()
        while True:
            self._begin_due()
            self._go_on()
            if self._over():
                break
            self._sample()
            self._rest()
        self._let_watch_end()

    def stop(self) -> None:
        """Nothing begins any more, and what is under way ends soon."""
        self._stopped = True
        under_way = [playing for playing in self._playing.values() if playing.job is not None and not playing.job.done()]
        for playing in under_way:
            if playing.injection is not None and not playing.healing:
                playing.injection.halt()
        _wait([playing.job for playing in under_way if not playing.healing], HURRY_S)
        _wait([playing.job for playing in under_way if playing.healing], HEAL_S)
        self._let_watch_end()
        self._threads.shutdown()

    # ---- one turn ----------------------------------------------------------------------------------------------------

    def _begin_due(self) -> None:
        for op in self._schedule:
            if op.id not in self._playing and self._due(op) <= time.monotonic():
                self._playing[op.id] = playing = _Playing(op)
                self._edges[op.id, "begin"] = time.monotonic()
                self._begin(playing)

    def _begin(self, playing: _Playing) -> None:
        match playing.op.do:
            case Inject():
                playing.job = self._threads.submit(self._inject, playing)
            case Act() as act:
                playing.job = self._threads.submit(self._hands.act, playing.op.id, act)
            case Pause() as pause:
                playing.job = self._threads.submit(self._hands.ask, playing.op.id, pause)
            case Wait() as rest:
                playing.until = time.monotonic() + rest.s
            case Note() as note:
                self._hands.note(playing.op.id, note)

    def _inject(self, playing: _Playing) -> None:
        playing.injection = injection = self._hands.prepare(playing.op)
        self.injections.append(injection)
        if self._stopped:  # looked at after it is known: whoever stops later finds it, and halts it
            injection.halt()
        injection.inject()

    def _go_on(self) -> None:
        """Take up what has ended."""
        for playing in self._playing.values():
            if self._ended(playing.op) or (playing.job is not None and not playing.job.done()):
                continue
            if playing.job is not None:
                playing.job.result()
                playing.job = None
            injection = playing.injection
            if injection is None:
                if playing.until is None or time.monotonic() >= playing.until:
                    self._edges[playing.op.id, "end"] = time.monotonic()
            elif playing.healing:
                self._healed(playing.op, injection)
            elif not self._holds(playing):
                self._hold(playing.op, injection)
            elif not injection.left_s() and not self._over():
                playing.healing = True
                self._show_hold(playing)
                playing.job = self._threads.submit(injection.heal)

    def _hold(self, op: Op, injection: Injection) -> None:
        self._edges[op.id, "inject"] = time.monotonic()
        if injection.plan.effects.rto_from == "inject":
            self._observer.clock_from(injection.injected_t or time.time(), anew=True)

    def _healed(self, op: Op, injection: Injection) -> None:
        self._edges[op.id, "lift"] = self._edges[op.id, "end"] = time.monotonic()
        if injection.plan.effects.rto_from != "inject":
            self._observer.clock_from(injection.fanout.healed_t, anew=True)

    def _over(self) -> bool:
        """Is nothing left to do but to heal what is at the end of its hold?"""
        return all(
            op.id in self._playing and (self._ended(op) or self._held_out(self._playing[op.id]))
            for op in self._schedule
        )

    def _holds(self, playing: _Playing) -> bool:
        """Is its fault in, and not being healed yet?"""
        return (playing.op.id, "inject") in self._edges and not playing.healing

    def _held_out(self, playing: _Playing) -> bool:
        return self._holds(playing) and playing.injection is not None and not playing.injection.left_s()

    def _ended(self, op: Op) -> bool:
        return (op.id, "end") in self._edges

    def _due(self, op: Op) -> float:
        """The instant at which it begins, as far as is known by now; inf: not yet."""
        return max((self._edges.get((at.op, at.edge), float("inf")) + at.plus_s for at in op.after), default=0.0)

    # ---- between turns -----------------------------------------------------------------------------------------------

    @property
    def _holding(self) -> list[Injection]:
        return [p.injection for p in self._playing.values() if p.injection and self._holds(p)]

    def _sample(self) -> None:
        """Have the stack and the hosts looked at, by one thread at a time."""
        if self._watch is not None:
            if not self._watch.done():
                return
            self._said, self._watch = self._watch.result(), None
            self._observer.stop_if_met()
            self._show_progress()
        holding = self._holding
        watching = bool(self._observer.stop_when) or any(edge == "inject" for _, edge in self._edges)
        if watching and time.monotonic() >= self._watched + SAMPLE_S:
            self._watched = time.monotonic()
            self._watch = self._threads.submit(self._look, holding)

    def _look(self, holding: list[Injection]) -> str:
        text = self._observer.sample("hold", set().union(*(each.cut for each in holding)))
        for injection in holding:
            injection.look()
        return text

    def _rest(self) -> None:
        """Until something has ended, or is due."""
        now = time.monotonic()
        moments = [self._watched + SAMPLE_S]
        moments += [now + each.left_s() for each in self._holding]
        moments += [playing.until for playing in self._playing.values() if playing.until is not None]
        moments += [self._due(op) for op in self._schedule if op.id not in self._playing]
        left = max(0.0, min([moment for moment in moments if moment > now], default=now + LOOK_S) - now)
        jobs: list[Future[Any]] = [p.job for p in self._playing.values() if p.job is not None]
        jobs += [self._watch] if self._watch is not None else []
        with defer_signals():
            if jobs:
                wait(jobs, min(left, LOOK_S), FIRST_COMPLETED)
            else:
                time.sleep(min(left, LOOK_S))

    def _show_progress(self) -> None:
        """A line for each lane, where there are several, and one for the stack."""
        left = max((each.left_s() for each in self._holding), default=0.0)
        total = max((each.do.hold_s for each in self._holding), default=0.0)
        whole = ("hold", total - left, total, f"{left:.0f} s left   {self._said}")
        names = list(dict.fromkeys(op.lane for op in self._schedule))
        self._show.lanes([*(self._lane(name) for name in names), whole] if len(names) > 1 else [whole])

    def _lane(self, name: str) -> tuple[str, float, float, str]:
        """Name, done, total (seconds) and words: what the lane is at."""
        ops = [op for op in self._schedule if op.lane == name]
        left = [op for op in ops if not self._ended(op)]
        at = next((op for op in left if op.id in self._playing), None)
        if at is None:
            return name, float(not left), 1.0, f"{left[0].id} is waiting" if left else "done"
        playing = self._playing[at.id]
        if playing.injection is None or not self._holds(playing):
            return name, float(playing.healing), 1.0, f"{at.id} is {'being reverted' if playing.healing else 'under way'}"
        hold_s, left_s = playing.injection.do.hold_s, playing.injection.left_s()
        return name, hold_s - left_s, hold_s, f"{at.id} is in, {left_s:.0f} s left"

    def _show_hold(self, playing: _Playing) -> None:
        held_s = time.monotonic() - self._edges[playing.op.id, "inject"]
        self._show.phase("hold", f"{playing.op.id}: {self._said}", held_s)

    def _let_watch_end(self) -> None:
        _wait([self._watch], HURRY_S)


def _wait(jobs: Sequence[Future[Any] | None], within_s: float) -> None:
    """Until all have ended, or so long; a second signal leaves at once."""
    left, until = [job for job in jobs if job is not None], time.monotonic() + within_s
    with defer_signals():
        while left and wait(left, LOOK_S).not_done and time.monotonic() < until:
            leave_point()
