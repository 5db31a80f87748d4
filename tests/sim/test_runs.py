"""Runs of the real controller against a simulated host, on a virtual clock: whatever gets lost, late or killed, every host heals.

The gate plays 1 500 seeds; `pytest tests/sim --counts 100` plays 100 000. A seed that fails is named, and played again alone by
`SIM_SEED=N pytest tests/sim`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from stormdesk.core.errors import RefusedError, StormdeskError, TransportError
from stormdesk.core.model import Completed, Identity
from stormdesk.core.states import State
from stormdesk.run import hostrun
from stormdesk.run.hostrun import HostRun
from tests.cases.planning import FACTS, RUN_ID, a_plan, changed
from tests.sim.world import RUN, Host, Killed, Pool, World

KNOWN = dataclasses.replace(FACTS, identity=Identity("boot-1", "p"))
PLAN = a_plan(ttl_s=35.0)
SPARE_S = hostrun.SPARE_S
HEALS_S = 12.0  # past the deadline: the second watchdog, and undos that do not work at once
RESTART_S = 20.0
SILENT = SimpleNamespace(event=lambda *_, **__: None, write=lambda *_: None, intent=lambda **_: None)
BUGS = ("no fence", "late arming is taken", "inject before arm", "watchdog asleep")


@pytest.fixture
def virtual(monkeypatch: pytest.MonkeyPatch) -> list[World]:
    """The controller's clock and scripts are those of the one world in this list; a script is a request in words."""
    here: list[World] = []
    clock = SimpleNamespace(
        monotonic=lambda: here[0].now, time=lambda: here[0].now, sleep=lambda s: here[0].advance(here[0].now + s)
    )
    asks = SimpleNamespace(
        arm=lambda _, plan, __, **k: (
            "arm",
            {
                "inject": k["inject"],
                "not_after_s": k["not_after_s"],
                "ttl_s": plan.timing.ttl_s + k["spare_s"],
                "boot": 1,
            },
        ),
        inject=lambda *_, **k: ("inject", k),
        revert=lambda _, __, who, patience_s, after: (
            "revert",
            {"who": who, "patience_s": patience_s, "not_after_s": after},
        ),
        clear=lambda *_: ("clear", {}),
    )
    monkeypatch.setattr(hostrun, "time", clock)
    monkeypatch.setattr(hostrun, "render", asks)
    return here


def controller(world: World, run: HostRun, hold_s: float) -> None:
    """What the runner does with one host: arm and inject, hold, and heal whatever happened."""
    try:
        if world.chance(0.5, "two round trips"):
            run.arm(inject=False)
            run.inject(world.now + world.random.uniform(0, 2))
        else:
            run.arm(inject=True)
        world.advance(world.now + hold_s)
    except StormdeskError as error:
        world.happened["inject failed"] += 1
        if isinstance(error, RefusedError) and not run.intended:
            assert world.host.injects == 0, "refused, and injected"
    run.heal()


def watched(world: World) -> None:
    """No fault outlives its deadline by more than it takes to heal; asked at every instant of the world."""
    host, inner = world.host, world.host.check

    def check() -> None:
        inner()
        if host.fault and host.up:
            most = PLAN.timing.ttl_s + SPARE_S + HEALS_S + RESTART_S
            assert world.now - host.since < most, "the fault is in for too long"

    host.check = check  # type: ignore[method-assign]


def play(seed: int, here: list[World], bug: str = "", pool: type[Pool] = Pool) -> World:
    """One run and its end. Raises AssertionError where a promise is broken."""
    world = World(seed, bug=bug)
    world.persistent, world.cuts = world.random.random() < 0.3, world.random.random() < 0.25
    here[:] = [world]
    watched(world)
    host, plan = world.host, changed(PLAN, cuts=world.cuts, persistent=world.persistent)
    run = HostRun(plan, KNOWN, cast(Any, pool(world)), cast(Any, SILENT))
    began = world.now
    if world.random.random() < 0.4:
        world.killed_at = began + world.random.expovariate(1 / 10)
    for chance, act in ((0.15, host.restart), (0.3, host.lose_a_watchdog)):
        if world.random.random() < chance:
            world.at(world.random.uniform(0, 40), act)
    with contextlib.suppress(Killed):
        controller(world, run, world.random.uniform(0, 20))
        said_clean, injects = run.clean is True, host.injects
        if said_clean:
            assert not host.fault, "called clean with the fault in"
        world.advance(world.now + 200, mortal=False)
        if said_clean:
            assert host.injects == injects, "called clean, and injected afterwards"
    world.happened["controller killed"] += world.killed_at < world.now
    world.advance(began + 400, mortal=False)
    assert host.injects <= 1, "injected twice"
    assert not host.fault, "the fault is still in"
    return world


def test_whatever_happens_a_host_heals(virtual: list[World], repeats: Callable[..., int]) -> None:
    count, total = repeats(100_000, 1_500), Counter[str]()
    alone = os.environ.get("SIM_SEED")
    for seed in [int(alone)] if alone else range(count):
        try:
            total += play(seed, virtual).happened
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
    if not alone:
        assert total["injected"] > count / 2, total
        rare = {
            what: total[what]
            for what in ("restart", "watchdog killed", "watchdog", "controller killed", "request late", "answer lost")
        }
        assert min(rare.values()) > count / 100, rare


def search(one: Callable[[int], object]) -> None:
    for seed in range(3_000):
        one(seed)


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_found(bug: str, virtual: list[World]) -> None:
    with pytest.raises(AssertionError):
        search(lambda seed: play(seed, virtual, bug))


class Stubborn(Pool):
    """Asks again for whatever was not answered."""

    def script(self, host: str, ask: Any, deadline_s: float) -> Completed:
        try:
            return super().script(host, ask, deadline_s)
        except TransportError:
            return super().script(host, ask, deadline_s)


def test_a_controller_that_asks_for_an_inject_again_is_found(virtual: list[World]) -> None:
    with pytest.raises(AssertionError, match="refused, and injected"):
        search(lambda seed: play(seed, virtual, pool=Stubborn))


class Machine(RuleBasedStateMachine):
    """Any order of what a controller, an operator and bad luck do to a host: a fault implies somebody who will undo it."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(0)
        self.world.chance = lambda *_: False  # type: ignore[method-assign]
        self.answers: list[Completed] = []

    @property
    def host(self) -> Host:
        return self.world.host

    def ask(self, verb: str, wait_s: float, **words: Any) -> None:
        if self.host.up:
            process = self.world.spawn(getattr(self.host, verb)(self.answers.append, words))
            self.host.scripts.append(process)
            if verb == "revert":
                self.host.reverters.append(process)
        self.world.advance(self.world.now + wait_s)

    @rule(wait_s=st.floats(0, 3), inject=st.booleans(), persistent=st.booleans())
    def arm(self, wait_s: float, inject: bool, persistent: bool) -> None:
        if self.host.lines is None and not self.host.fault and not self.host.durable:
            self.world.persistent = persistent
        boot = self.host.boot
        self.ask("arm", wait_s, inject=inject, not_after_s=self.host.uptime + 20, ttl_s=30.0, boot=boot)

    @rule(wait_s=st.floats(0, 3), delay_s=st.floats(0, 5))
    def inject(self, wait_s: float, delay_s: float) -> None:
        self.ask("inject", wait_s, at_cs=round(100 * (self.host.uptime + delay_s)), until_cs=None)

    @rule(wait_s=st.floats(0, 3), who=st.sampled_from(["controller", "recover"]))
    def revert(self, wait_s: float, who: str) -> None:
        self.ask("revert", wait_s, who=who, patience_s=10.0, not_after_s=self.host.uptime + 20)

    @rule(wait_s=st.floats(0, 3))
    def clear(self, wait_s: float) -> None:
        self.ask("clear", wait_s)

    @rule()
    def session_dies(self) -> None:
        for process in self.host.scripts:
            process.alive = False

    @rule()
    def lose_a_watchdog(self) -> None:
        self.host.lose_a_watchdog()

    @precondition(lambda self: self.host.up)
    @rule()
    def restart(self) -> None:
        self.host.restart()

    @rule(wait_s=st.floats(0, 40))
    def wait(self, wait_s: float) -> None:
        self.world.advance(self.world.now + wait_s)

    @invariant()
    def somebody_will_undo_it(self) -> None:
        self.host.check()

    @invariant()
    def what_is_over_is_over(self) -> None:
        assert not (self.host.fault and self.host.lines and self.host.state is State.REVERTED)

    def teardown(self) -> None:
        self.world.advance(self.world.now + 120)
        assert not self.host.fault, "nobody undid it"


def test_any_order_of_events_ends_well(repeats: Callable[..., int]) -> None:
    """150 examples, 10 000 with `--counts 100`."""
    count = repeats(10_000, 150)
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        Machine,
        settings=settings(max_examples=count, deadline=None, database=None, stateful_step_count=20, print_blob=True),
    )


def test_the_world_speaks_of_the_run_that_is_planned() -> None:
    assert RUN == RUN_ID
