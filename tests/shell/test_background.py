"""Processes of a fault's own: they end with the fault, whatever they start, and also where nobody wrote down who they are."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator

import pytest

from stormdesk.core.plan import Plan, Step
from stormdesk.faults.noop import Noop
from tests.shell.rig import CONFIRMED, Rig, picture, rig, same, states
from tests.shell.sandbox import SHELLS

RUNAWAY = "setsid sleep 61 & exec sleep 62"  # what it starts leaves its session
END = ("sd_background_end", "sleeper")


@pytest.fixture(params=SHELLS)
def host(request: pytest.FixtureRequest) -> Iterator[Rig]:
    with rig(request.param) as one:
        yield one


def plan(host: Rig, ttl_s: float = 20.0, undo: tuple[tuple[str, ...], ...] = (END,)) -> Plan:
    """A noop that starts a helper, too."""
    made = host.plan(Noop(), ttl_s)
    step = Step(("sd_background", "sleeper", "sh", "-c", RUNAWAY), undo)
    change = dataclasses.replace(made.change, steps=(*made.change.steps, step), touches=("process",))
    proof = dataclasses.replace(made.proof, witness=("sd_background_runs", "sleeper"))
    return dataclasses.replace(made, change=change, proof=proof)


def until(true: Callable[[], bool], within_s: float = 8.0) -> None:
    end = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def sleepers(host: Rig) -> str:
    return host.sandbox.sh("ps axww -o args | grep '^sleep 6[12]' || :").strip()


def bitten(host: Rig, made: Plan) -> list[str]:
    before = picture(host.sandbox)
    done = host.arm(made)
    assert states(done) == CONFIRMED, done.stdout
    until(lambda: len(sleepers(host).splitlines()) == 2)
    return before


def test_a_helper_and_all_that_it_started_end_with_the_fault(host: Rig) -> None:
    before = bitten(host, plan(host))
    done = host.revert()
    assert done.ok, done.stdout
    assert sleepers(host) == ""
    assert host.clear().ok
    same(before, host.sandbox)


def test_a_helper_that_nobody_wrote_down_is_known_by_its_environment(host: Rig) -> None:
    before = bitten(host, plan(host))
    host.sandbox.sh("rm /run/stormdesk/r-*/helper.sleeper")
    assert host.revert().ok
    assert sleepers(host) == ""
    assert host.clear().ok
    same(before, host.sandbox)


def test_the_watchdog_ends_it_too(host: Rig) -> None:
    bitten(host, plan(host, ttl_s=2.0))
    until(lambda: host.state() == "REVERTED")
    assert sleepers(host) == ""


def test_a_helper_that_runs_on_is_no_clean_host(host: Rig) -> None:
    bitten(host, plan(host, undo=(("true",),)))
    done = host.revert(patience_s=0.5)
    assert not done.ok
    assert "left + process helper sleeper runs" in done.stdout


def test_an_injector_that_is_killed_leaves_no_helper(host: Rig) -> None:
    made = plan(host)
    slow = Step(("sleep", "3"), (("true",),))
    made = dataclasses.replace(made, change=dataclasses.replace(made.change, steps=(*made.change.steps, slow)))
    script = host.arm_script(made, inject=False)
    assert states(host.sandbox.script(script))[-1] == "ACKED"
    host.sandbox.sh("(setsid sh /run/stormdesk/r-*/inject.sh /run/stormdesk/r-* >/dev/null 2>&1 &)")
    until(lambda: bool(sleepers(host)))
    host.sandbox.sh("pkill -KILL -f inject.sh")
    assert host.revert().ok
    assert sleepers(host) == ""
