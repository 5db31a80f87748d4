"""The maximum of concurrent faults on a host, counted on the host itself, in dash and busybox ash, however many arm at one
instant."""

from __future__ import annotations

import time
from collections.abc import Sequence

from stormdesk.core.model import Completed
from stormdesk.core.plan import Plan, Step
from stormdesk.faults.disk.disk_full import DiskFull
from stormdesk.host import probe, render
from tests.cases.planning import changed
from tests.shell.rig import CONFIRMED, Rig, beside, picture, same, states
from tests.shell.sandbox import Sandbox, eventually

RUNS = [f"r-20261121-0312-{letter * 6}" for letter in "abcdefg"]
DONE = "/tmp/done"


def plans(host: Rig, runs: Sequence[str]) -> list[Plan]:
    """Faults that have nothing in common; each notes in a file of its own that it was in."""
    one = changed(host.plan(DiskFull()), spaces=(), files=(), witness=("true",), rechecks=())
    return [
        changed(one, run_id=run, resources=(f"disk:/{run}",), steps=(Step(("touch", f"{DONE}.{run}"), ()),))
        for run in runs
    ]


def at_once(host: Rig, all_of_them: Sequence[Plan], most_faults: int) -> list[Completed]:
    """Arm and inject all of them at one instant, as that many controllers do."""
    started = [host.sandbox.start(host.arm_script(plan, most_faults=most_faults)) for plan in all_of_them]
    done = []
    for process in started:
        out, err = process.communicate(timeout=30)
        done.append(Completed((), process.returncode, out.decode(), err.decode()))
    return done


def end(sandbox: Sandbox, host: Rig, runs: Sequence[str]) -> None:
    for run in runs:
        assert sandbox.script(render.revert(host.scripts, run, "controller", 3.0)).ok
        assert sandbox.script(render.clear(host.scripts, run)).ok


@beside
def test_case_C28_of_five_faults_at_one_instant_three_come_in(host: Rig) -> None:
    before = picture(host.sandbox)
    done = at_once(host, plans(host, RUNS[:5]), 3)
    assert sorted(one.code for one in done) == [0, 0, 0, 10, 10]
    came_in = [run for run, one in zip(RUNS[:5], done, strict=True) if one.ok]
    for one in done:
        if one.ok:
            assert states(one) == CONFIRMED
        else:
            assert "3 faults are in already: at most 3 at once" in probe.refusal(one.stdout)
            assert "--allow-faults 4" in probe.refusal(one.stdout)
    assert host.sandbox.sh(f"ls {DONE}.*").split() == [f"{DONE}.{run}" for run in came_in]  # nothing else was touched
    assert sorted(record.run_id for record in host.status().records) == came_in
    end(host.sandbox, host, came_in[:1])
    (late,) = at_once(host, plans(host, RUNS[5:6]), 3)
    assert late.ok, late  # one place is free again
    end(host.sandbox, host, [*came_in[1:], RUNS[5]])
    assert host.status().empty
    same(before, host.sandbox)


@beside
def test_case_C28_more_are_allowed_by_name_and_count_for_those_that_are_not(host: Rig) -> None:
    before = picture(host.sandbox)
    done = at_once(host, plans(host, RUNS[:5]), 4)
    assert sorted(one.code for one in done) == [0, 0, 0, 0, 10]
    came_in = [run for run, one in zip(RUNS, done, strict=False) if one.ok]
    end(host.sandbox, host, came_in[:1])
    (late,) = at_once(host, plans(host, RUNS[5:6]), 3)
    assert late.code == 10
    assert "3 faults are in already" in probe.refusal(late.stdout)
    end(host.sandbox, host, came_in[1:])
    assert host.status().empty
    same(before, host.sandbox)


@beside
def test_case_C28_who_died_while_arming_holds_no_place_and_no_resource(host: Rig) -> None:
    """Three armers are killed before their watchdogs are up; then the same resource is free, and all three places."""
    before = picture(host.sandbox)
    lame = Rig(host.sandbox, scripts={**host.scripts, "steps/watchdog.sh": "exit 1\n"})
    lame.plan(DiskFull())
    dead = plans(lame, RUNS[:3])
    started = [host.sandbox.start(lame.arm_script(plan)) for plan in dead]
    for run in RUNS[:3]:
        eventually(f"grep -q INTENT /run/stormdesk/{run}/record", host.sandbox, 10)
        host.sandbox.sh(f"kill -KILL $(pgrep -f 'arm.sh /run/stormdesk/{run}' | sort)")
    for process in started:
        process.communicate(timeout=10)
    assert len(host.status().locks) == 6
    again = [changed(plan, run_id=run) for plan, run in zip(plans(host, RUNS[:3]), RUNS[3:6], strict=True)]
    assert [one.code for one in at_once(host, again, 3)] == [0, 0, 0]
    assert sorted(record.run_id for record in host.status().records) == RUNS[3:6]
    end(host.sandbox, host, RUNS[3:6])
    assert host.status().empty
    same(before, host.sandbox)


@beside
def test_an_inject_waits_for_its_instant_and_brings_the_deadline_forward(host: Rig) -> None:
    before = picture(host.sandbox)
    plan = host.plan(DiskFull(), ttl_s=60.0)
    assert host.arm(plan, inject=False).ok
    now = host.status().now_cs
    at, until = now + 120, now + 320
    began = time.monotonic()
    done = host.sandbox.script(
        render.inject(host.scripts, "/run/stormdesk", host.run_id, cuts=False, at_cs=at, until_cs=until)
    )
    assert states(done) == CONFIRMED
    assert time.monotonic() - began < 3
    record = host.record()
    assert 0 <= int(record.value("injected_at")) - at <= 30
    assert int(record.value("deadline")) == until
    eventually(f"grep -q REVERTED /run/stormdesk/{host.run_id}/record", host.sandbox, 6)
    assert host.record().value("reverted_by") == "watchdog"
    assert host.record().lateness_ms <= 1500
    assert host.clear().ok
    same(before, host.sandbox)


@beside
def test_an_inject_never_postpones_the_deadline(host: Rig) -> None:
    plan = host.plan(DiskFull(), ttl_s=4.0)
    assert host.arm(plan, inject=False).ok
    deadline = int(host.record().value("deadline"))
    script = render.inject(host.scripts, "/run/stormdesk", host.run_id, cuts=False, until_cs=deadline + 6000)
    assert states(host.sandbox.script(script)) == CONFIRMED
    assert int(host.record().value("deadline")) == deadline
    assert host.revert().ok
