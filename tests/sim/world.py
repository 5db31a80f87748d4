"""A simulated host behind a simulated transport, on one virtual clock: everything that happens follows from a seed.

The controller is the real one (stormdesk/run/hostrun.py); it reads the clock of this world and sends its requests into it. The
host does what the scripts of stormdesk/host/steps do, one command boundary at a time, by the real state table. Requests and
answers get lost, come late or after their sender has given up; sessions, watchdogs, the controller and the host itself die.
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from stormdesk.core.errors import ConnectFailed, ConnectionLost, DeadlineExceeded
from stormdesk.core.model import Completed
from stormdesk.core.states import TABLE, Event, State

Act = Generator[float, None, None]
RUN = "r-20261121-0312-k3f9"


class Killed(BaseException):
    """The controller died here."""


@dataclass
class Process:
    """Something that runs on the host until it ends or is killed."""

    act: Act
    alive: bool = True


@dataclass
class World:
    """The clock, and what is still to happen. `bug` is planted in the host; `happened` counts what did."""

    seed: int
    persistent: bool = False
    cuts: bool = False
    bug: str = ""
    now: float = 1000.0
    killed_at: float = float("inf")
    happened: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.random = Random(f"world {self.seed}")
        self._ahead: list[tuple[float, int, Callable[[], None]]] = []
        self._number = itertools.count()
        self.host = Host(self)

    def at(self, delay: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._ahead, (self.now + delay, next(self._number), act))

    def advance(self, until: float, *, mortal: bool = True) -> None:
        """Let everything happen up to that instant. Raises Killed when the controller, `mortal`, dies before it."""
        end = min(until, self.killed_at) if mortal else until
        while self._ahead and self._ahead[0][0] <= end:
            self.now, _, act = heapq.heappop(self._ahead)
            act()
            self.host.check()
        self.now = max(self.now, end)
        if mortal and self.now >= self.killed_at:
            raise Killed

    def spawn(self, act: Act) -> Process:
        process = Process(act)
        self.at(0.0, lambda: self._step(process))
        return process

    def _step(self, process: Process) -> None:
        if process.alive:
            try:
                self.at(next(process.act), lambda: self._step(process))
            except StopIteration:
                process.alive = False

    def moment(self, most: float = 0.2) -> float:
        return self.random.uniform(0.001, most)

    def chance(self, share: float, what: str = "") -> bool:
        hit = self.random.random() < share
        self.happened[what] += hit
        return hit


class Host:
    """One host, and all that is ours on it. `checks` that fail raise AssertionError where they do."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.boot, self.boots_at = 1, 0.0
        self.up = self.link = True
        self.fault, self.injects, self.since = False, 0, 0.0
        self.durable: dict[str, Any] | None = None
        self._forget()

    def _forget(self) -> None:
        """What a tmpfs and a process table lose at a restart."""
        self.lines: list[tuple[int, str, str]] | None = None
        self.claim: Process | str | None = None
        self.keep_out, self.deadline = 0.0, 0.0
        self.dogs: dict[str, Process] = {}
        self.reverters: list[Process] = []
        self.hook: Process | None = None
        self.scripts: list[Process] = []

    @property
    def uptime(self) -> float:
        return self.world.now - self.boots_at

    @property
    def state(self) -> State:
        return State(self.lines[-1][1]) if self.lines else State.NEW

    def check(self) -> None:
        """A fault implies somebody who will undo it: rule R1."""
        if self.fault and self.up:
            guards = [*self.dogs.values(), *self.reverters, *([self.hook] if self.hook else [])]
            assert any(guard.alive for guard in guards), "a fault with nobody to undo it"

    def event(self, event: Event, text: str = "") -> bool:
        to = TABLE[self.state].to.get(event)
        if to is None or self.lines is None:
            return False
        if to is not self.state:
            self.lines.append((round(self.uptime * 100), to, text))
        return True

    def said(self, code: int, *more: str) -> Completed:
        lines = [f"uptime {self.uptime:.2f}"]
        if self.lines is not None:
            lines += [f"run {RUN} /run/stormdesk", *(f"line {cs} {state} {text}" for cs, state, text in self.lines)]
        return Completed((), code, "\n".join([*lines, *more]) + "\n")

    # ---- the scripts, a command boundary at each yield ---------------------------------------------------------------

    def arm(self, reply: Callable[[Completed], None], ask: Mapping[str, Any]) -> Act:
        world = self.world
        late = self.uptime > ask["not_after_s"] and world.bug != "late arming is taken"
        if late or ask["boot"] != self.boot or self.lines is not None or self.keep_out > self.uptime:
            return reply(Completed((), 10, "refused it is too late, or taken\n"))
        self.lines = []
        yield world.moment()
        self.deadline = self.uptime + ask["ttl_s"]
        self.event(Event.INTEND, f"fault=disk-full deadline={round(self.deadline * 100)}")
        yield world.moment()
        if world.persistent:
            self.durable = {"complete": True}
            yield world.moment()
        if world.bug != "inject before arm":
            self.watch("a")
            self.watch("b")
        self.event(Event.ARM, "oom=-1000")
        yield world.moment()
        if self.keep_out > self.uptime or not self.event(Event.ACKNOWLEDGE, "a=1.1 b=2.2"):
            if self.state in (State.INTENT, State.ARMED):
                self.lines = self.durable = None
            return reply(Completed((), 10, "refused fenced\n"))
        if ask["inject"]:
            world.spawn(self.inject(reply, {"at_cs": 0, "until_cs": None}))
            if world.bug == "inject before arm":
                yield 1.0
                self.watch("a")
        else:
            reply(self.said(0))
        return None

    def inject(self, reply: Callable[[Completed], None], ask: Mapping[str, Any]) -> Act:  # noqa: C901 -- as steps/inject.sh
        world, me = self.world, Process(iter(()))  # type: ignore[arg-type]  # its own session, of which this is the claim
        if world.cuts:
            reply(self.said(0))
            yield 0.3
        yield max(0.0, ask["at_cs"] / 100 - self.uptime)
        refuse = lambda why: reply(self.said(11, f"refused {why}"))  # noqa: E731
        if self.lines is None or TABLE[self.state].to.get(Event.INJECT) is None:
            return refuse("not armed and acknowledged")
        if world.bug != "inject before arm" and not any(dog.alive for dog in self.dogs.values()):
            return refuse("the watchdog is gone")
        deadline = min(self.deadline, (ask["until_cs"] or 1e12) / 100)
        yield world.moment()
        if self.claim is not None and world.bug != "no fence":
            return refuse("fenced")
        self.claim = me
        yield world.moment()
        if deadline - self.uptime < 1 and world.bug != "no fence":
            return refuse("too late")
        if (
            not self.event(Event.INJECT, f"injected_at={round(self.uptime * 100)} deadline={round(deadline * 100)}")
            and world.bug != "no fence"
        ):
            return refuse("the record says so")
        self.deadline = deadline
        yield world.moment()
        if not me.alive:
            return None
        self.fault, self.since, self.injects = True, world.now, self.injects + 1
        world.happened["injected"] += 1
        if world.cuts:
            self.link = False
        yield world.moment()
        if me.alive and self.event(Event.FINISH):
            yield world.moment()
            doubt = world.chance(0.05, "unwitnessed")
            if me.alive and self.event(Event.DOUBT if doubt else Event.CONFIRM, "seen"):
                reply(self.said(13 if doubt else 0))
        return None

    def revert(self, reply: Callable[[Completed], None], ask: Mapping[str, Any]) -> Act:
        world, who = self.world, ask["who"]
        until = self.uptime + ask["patience_s"]
        if self.lines is None and self.durable and not self.hook:
            yield from self._boot(who)
        if not self.lines:
            self.keep_out = max(self.keep_out, ask["not_after_s"] + 1)
            return reply(Completed((), 0, "gone\n"))
        yield world.moment()
        if isinstance(self.claim, Process) and self.claim.alive and world.bug != "no fence":
            self.claim.alive = False  # with its whole session
        self.claim = self.claim or "fenced"
        yield world.moment()
        self.event(Event.REVERT, f"by={who}")
        while self.lines is not None and self.state is not State.REVERTED:
            yield world.moment()
            hindered = world.chance(0.1, "undo hindered")
            if not hindered:
                self.fault, self.link = False, True
            yield world.moment()
            if not self.fault and self.event(
                Event.VERIFY, f"reverted_by={who} late_cs={max(0, round(100 * (self.uptime - self.deadline)))}"
            ):
                self.durable = None
            elif self.uptime > until:
                self.event(Event.GIVE_UP, f"by={who}")
                return reply(self.said(14))
        return reply(self.said(0))

    def clear(self, reply: Callable[[Completed], None], _: Mapping[str, Any]) -> Act:
        yield self.world.moment()
        if self.lines is not None and self.state is not State.REVERTED:
            return reply(Completed((), 15, "refused: the record says otherwise\n"))
        for dog in self.dogs.values():
            dog.alive = False
        self.lines, self.claim = None, None
        return reply(Completed((), 0, ""))

    def watch(self, letter: str) -> None:
        self.dogs[letter] = self.world.spawn(self._watchdog(letter, "b" if letter == "a" else "a"))

    def _watchdog(self, letter: str, peer: str) -> Act:
        while self.lines is not None and self.state is not State.REVERTED:
            due = self.deadline + (2 if letter == "b" else 0)
            if self.uptime >= due and self.world.bug != "watchdog asleep":
                self.world.happened["watchdog"] += 1
                yield from self.revert(lambda _: None, {"who": "watchdog", "patience_s": 300.0, "not_after_s": 0.0})
                return
            if peer in self.dogs and not self.dogs[peer].alive:
                self.watch(peer)
            yield min(0.5, max(0.01, due - self.uptime))

    # ---- what happens to it ------------------------------------------------------------------------------------------

    def lose_a_watchdog(self) -> None:
        alive = [dog for dog in self.dogs.values() if dog.alive]
        if len(alive) == 2:
            self.world.random.choice(alive).alive = False
            self.world.happened["watchdog killed"] += 1

    def restart(self) -> None:
        self.world.happened["restart"] += 1
        for process in (*self.dogs.values(), *self.reverters, *self.scripts):
            process.alive = False
        if isinstance(self.claim, Process):
            self.claim.alive = False
        self.up = self.link = False
        self.fault = self.fault and self.world.persistent
        self._forget()
        self.world.at(self.world.random.uniform(3, 15), self._up)

    def _up(self) -> None:
        self.up = self.link = True
        self.boot, self.boots_at = self.boot + 1, self.world.now
        if self.durable:
            self.hook = self.world.spawn(self._boot("boot"))

    def _boot(self, who: str) -> Act:
        self.lines = [(round(self.uptime * 100), State.REVERTING, f"by={who} restarted=1 deadline=0")]
        yield self.world.moment()
        self.fault = False
        yield self.world.moment()
        self.event(Event.VERIFY, f"reverted_by={who}")
        self.durable = None


class Pool:
    """The controller's transport into this world: `script` waits for an answer on the virtual clock."""

    def __init__(self, world: World) -> None:
        self.world = world

    def script(self, _: str, ask: tuple[str, Mapping[str, Any]], deadline_s: float) -> Completed:  # noqa: C901 -- one trip's luck
        """Raises ConnectionLost or DeadlineExceeded; whether the host has heard of it, nobody knows then."""
        world, host = self.world, self.world.host
        answers: list[Completed] = []
        end = world.now + deadline_s
        lost, late = world.chance(0.08, "request lost"), world.chance(0.08, "request late")
        silent, broken = world.chance(0.1, "answer lost"), world.chance(0.08, "session lost")

        def reply(done: Completed) -> None:
            if host.link and not silent:
                world.at(world.moment(0.05), lambda: answers.append(done))

        def deliver() -> None:
            if host.up and host.link:
                process = world.spawn(getattr(host, ask[0])(reply, {**ask[1]}))
                host.scripts.append(process)
                if ask[0] == "revert":
                    host.reverters.append(process)
                if broken:
                    world.at(world.moment(1.0), lambda: setattr(process, "alive", False))

        if not lost:
            world.at(world.random.uniform(0, 90) if late else world.moment(0.05), deliver)
        while not answers and world.now < end:
            world.advance(min(end, world.now + 0.25))
            if (broken or not host.link) and world.chance(0.2):
                raise ConnectionLost("h: the connection is gone")
        if not answers:
            raise DeadlineExceeded("h: no answer in time")
        return answers[0]

    def run(self, _: str, __: object, ___: float) -> Completed:
        self.world.advance(self.world.now + 0.1)
        if not self.world.host.link:
            raise ConnectionLost("h: the connection is gone")
        return Completed((), 0, f"boot-{self.world.host.boot}\n")

    def drop(self, _: str) -> None:
        """The connection is given up; there is nothing else to do here."""

    def reconnect(self, _: str, within_s: float) -> None:
        end = self.world.now + within_s
        while not self.world.host.link:
            if self.world.now >= end:
                raise ConnectFailed("h: out of reach")
            self.world.advance(min(end, self.world.now + 0.5))
        self.world.advance(self.world.now + 0.1)
