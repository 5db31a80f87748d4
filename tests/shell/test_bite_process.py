"""Faults of processes and services on a real kernel: they take effect, seen by other means than the engine's, and leave no trace."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from stormdesk.core.errors import RefusedError
from stormdesk.core.fault import Fault
from stormdesk.core.values import Duration, Spare
from stormdesk.faults.process.fd_exhaust import FdExhaust
from stormdesk.faults.process.pid_exhaust import PidExhaust
from stormdesk.faults.process.process_pause import ProcessPause
from tests.shell.rig import CONFIRMED, Rig, picture, rig, same, states
from tests.shell.sandbox import SHELLS, eventually
from tests.shell.test_bite import bite, heal
from tests.skips import cannot

# A parent with two children, which write the time since boot every 20 ms: who is paused leaves a gap.
FAMILY = """
setsid sh -c 'for n in 1 2; do sh -c "while sleep 0.02; do read -r t _ </proc/uptime; echo \\$t >>/tmp/ticks.$n; done; : family" & done
  while sleep 0.02; do read -r t _ </proc/uptime; echo $t >>/tmp/ticks.0; done; : family-head' </dev/null >/dev/null 2>&1 &
echo $!
"""
HEAD = "family-head"


@pytest.fixture(params=SHELLS)
def host(request: pytest.FixtureRequest) -> Iterator[Rig]:
    with rig(request.param) as one:
        yield one


def family(host: Rig) -> str:
    """The pid of the parent."""
    pid = host.sandbox.sh(FAMILY).strip()
    eventually("test -s /tmp/ticks.0 && test -s /tmp/ticks.1 && test -s /tmp/ticks.2", host.sandbox, 5)
    return pid


def lines(host: Rig) -> list[int]:
    """How much each of the three has written."""
    return [int(host.sandbox.sh(f"wc -l </tmp/ticks.{n}")) for n in range(3)]


def writes(host: Rig) -> bool:
    before = lines(host)
    time.sleep(0.5)
    return all(now > then for now, then in zip(lines(host), before, strict=True))


def stands(host: Rig) -> bool:
    before = lines(host)
    time.sleep(0.5)
    return lines(host) == before


def by_the_watchdog(host: Rig, fault: Fault, ttl_s: float = 5.0) -> list[str]:
    """Inject with a deadline that is near, and wait until a watchdog has reverted; the picture from before."""
    before = picture(host.sandbox)
    done = host.arm(host.plan(fault, ttl_s))
    assert states(done) == CONFIRMED, done.stdout
    eventually("grep -q REVERTED /run/stormdesk/r-*/record", host.sandbox, 15)
    assert host.record().value("reverted_by") == "watchdog"
    return before


def killed_half_way(host: Rig, fault: Fault, verb: str) -> list[str]:
    """The injector is killed right after the host library's `verb` has acted; the picture from before."""
    before = picture(host.sandbox)
    plan = host.plan(fault)
    host.scripts = {**host.scripts}
    file, text = next((name, text) for name, text in host.scripts.items() if f"\n{verb}() {{\n" in text)
    host.scripts[file] = text.replace(
        f"\n{verb}() {{\n", f'\n{verb}() {{\n  {verb}_whole "$@"; kill -KILL $$\n}}\n{verb}_whole() {{\n'
    )
    done = host.arm(plan)
    host.scripts[file] = text
    assert states(done)[-1] == "INJECTING", done.stdout
    return before


def finish(host: Rig, before: list[str]) -> None:
    """Revert what a kill or a watchdog has left; the host is as in the picture."""
    done = host.revert()
    assert (done.code, states(done)[-1]) == (0, "REVERTED"), done.stdout
    assert host.clear().ok
    same(before, host.sandbox)


# ---- process-pause --------------------------------------------------------------------------------------------------


def test_a_pause_stops_the_children_too_and_nobody_else(host: Rig) -> None:
    family(host)
    host.sandbox.sh("setsid sh -c 'while sleep 0.02; do echo >>/tmp/other; done' </dev/null >/dev/null 2>&1 &")
    before = bite(host, ProcessPause(pattern=HEAD))
    assert stands(host)
    other = int(host.sandbox.sh("wc -l </tmp/other"))
    eventually(f"[ $(wc -l </tmp/other) -gt {other} ]", host.sandbox, 3)
    heal(host, before)
    assert writes(host)


def test_a_pause_ends_by_the_watchdog_and_after_a_killed_inject(host: Rig) -> None:
    family(host)
    finish(host, by_the_watchdog(host, ProcessPause(pattern=HEAD)))
    assert writes(host)
    finish(host, killed_half_way(host, ProcessPause(pattern=HEAD), "sd_stop_family"))
    assert writes(host)


def test_what_somebody_else_has_stopped_stays_stopped(host: Rig) -> None:
    family(host)
    child = host.sandbox.sh("pgrep -f 'ticks.1; done; : family$'").split()[0]
    host.sandbox.sh(f"kill -STOP {child}")
    before = bite(host, ProcessPause(pattern=HEAD))
    heal(host, before)
    assert host.sandbox.sh(f"ps -o stat= -p {child}").startswith("T")


def test_a_pause_that_alternates_leaves_gaps_and_ends_running(host: Rig) -> None:
    family(host)
    before = bite(host, ProcessPause(pattern=HEAD, stop_for=Duration(0.6), run_for=Duration(0.4)))
    since = len(host.sandbox.sh("cat /tmp/ticks.0").split())
    time.sleep(3.5)
    heal(host, before)
    assert writes(host)
    times = [float(text) for text in host.sandbox.sh("cat /tmp/ticks.0").split()[since - 1 :]]
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert len([gap for gap in gaps if gap > 0.45]) >= 2, gaps
    assert len([gap for gap in gaps if gap < 0.2]) >= 5, gaps


@pytest.fixture
def group(request: pytest.FixtureRequest, host: Rig) -> Iterator[str]:
    """A control group of this machine's first version, which the sandbox sees too, of the controller that the test names."""
    controller = request.param
    root = Path("/sys/fs/cgroup", controller)
    if not (root / "cgroup.procs").exists() or not os.access(root, os.W_OK):
        cannot(f"it has no {controller} of cgroup v1")
    made = root / f"stormdesk-test-{os.getpid()}"
    made.mkdir()
    host.sandbox.sh(f"mkdir /mnt/{controller} && mount -t cgroup -o {controller} {controller} /mnt/{controller}")
    try:
        yield f"/mnt/{controller}/{made.name}"
    finally:
        if controller == "freezer":
            (made / "freezer.state").write_text("THAWED")
        for pid in (made / "cgroup.procs").read_text().split():
            with suppress(OSError):
                os.kill(int(pid), 9)
        deadline = time.monotonic() + 3
        while (made / "cgroup.procs").read_text() and time.monotonic() < deadline:
            time.sleep(0.02)
        made.rmdir()


@pytest.mark.parametrize("group", ["freezer"], indirect=True)
def test_the_freezer_holds_a_group_that_is_the_targets_alone(host: Rig, group: str) -> None:
    pid = family(host)
    fault = ProcessPause(pattern=HEAD, mechanism="freezer")
    with pytest.raises(AssertionError, match="contains other processes too"):
        host.plan(fault)
    host.sandbox.sh(f"for pid in {pid} $(pgrep -P {pid}); do echo $pid >{group}/cgroup.procs; done; sleep 0.2")
    host.sandbox.sh(f"for pid in $(pgrep -f family); do echo $pid >{group}/cgroup.procs; done 2>/dev/null; :")
    before = bite(host, fault)
    assert stands(host)
    assert host.sandbox.sh(f"cat {group}/freezer.state") == "FROZEN\n"
    heal(host, before)
    assert writes(host)
    finish(host, by_the_watchdog(host, fault))
    finish(host, killed_half_way(host, fault, "sd_set_file"))
    assert writes(host)


@pytest.mark.parametrize("group", ["freezer"], indirect=True)
def test_a_freezer_that_somebody_else_has_closed_is_refused(host: Rig, group: str) -> None:
    host.sandbox.sh(f"setsid sh -c 'echo $$ >{group}/cgroup.procs; exec sleep 543' </dev/null >/dev/null 2>&1 &")
    eventually("pgrep -f 'sleep 543'", host.sandbox, 5)
    plan = host.plan(ProcessPause(pattern="sleep 543", mechanism="freezer"))
    host.sandbox.sh(f"echo FROZEN >{group}/freezer.state")
    done = host.arm(plan)
    assert "freezer.state is already FROZEN" in done.stdout
    assert host.revert().ok
    assert host.sandbox.sh(f"cat {group}/freezer.state") == "FROZEN\n"


def test_a_pause_of_nobody_is_refused(host: Rig) -> None:
    with pytest.raises(RefusedError, match="selects 0 processes"):
        host.plan(ProcessPause(pattern="no such process"))


# ---- fd-exhaust -----------------------------------------------------------------------------------------------------

# It opens a file every 50 ms and writes down how that went; its child does the same. Both hold seven, with a gap.
OPENER = """
cat >/tmp/opener.py <<'END'
import os, resource, sys, time
held = [open("/dev/null") for _ in range(8)]
held[3].close()
name = "parent" if os.fork() else "child"
while True:
    try:
        os.close(os.open("/dev/null", os.O_RDONLY))
        said = "opened"
    except OSError as error:
        said = error.strerror
    os.write(1, f"{name} {said}\\n".encode())
    time.sleep(0.05)
END
chmod 644 /tmp/opener.py
touch /tmp/opened && chmod 666 /tmp/opened
setsid USER python3 -S /tmp/opener.py </dev/null >>/tmp/opened 2>&1 &
sleep 0.3
"""
NOBODY = "setpriv --reuid nobody --regid nogroup --clear-groups"
OPENER_LIMITS = "for pid in $(pgrep -f '[o]pener.py'); do grep 'open files' /proc/$pid/limits; done"


def says(host: Rig, text: str) -> None:
    """Parent and child both say so from now on."""
    host.sandbox.sh(": >/tmp/opened")
    eventually(f"grep -q 'parent {text}' /tmp/opened && grep -q 'child {text}' /tmp/opened", host.sandbox, 5)


@pytest.mark.parametrize(("mechanism", "user"), [("prlimit", ""), ("prlimit", NOBODY), ("python3", NOBODY)])
def test_no_descriptor_is_free_and_then_as_many_as_before(host: Rig, mechanism: str, user: str) -> None:
    host.sandbox.sh(OPENER.replace("USER", user))
    says(host, "opened")
    limits = host.sandbox.sh(OPENER_LIMITS)
    fault = FdExhaust(pattern="opener.py", mechanism=mechanism)
    with pytest.raises(RefusedError, match="selects 2 processes"):
        host.plan(fault)
    host.sandbox.sh("pgrep -o -f '[o]pener.py' >/run/opener.pid")
    fault = FdExhaust(pidfile="/run/opener.pid", mechanism=mechanism)
    before = bite(host, fault)
    says(host, "Too many open files")
    assert host.sandbox.sh(OPENER_LIMITS) != limits
    heal(host, before)
    says(host, "opened")
    assert host.sandbox.sh(OPENER_LIMITS) == limits
    finish(host, killed_half_way(host, fault, "sd_limit_family"))
    assert host.sandbox.sh(OPENER_LIMITS) == limits


def test_some_descriptors_are_left_and_the_watchdog_gives_all_back(host: Rig) -> None:
    host.sandbox.sh(OPENER.replace("USER", ""))
    host.sandbox.sh("pgrep -o -f '[o]pener.py' >/run/opener.pid")
    limits = host.sandbox.sh(OPENER_LIMITS)
    before = bite(host, FdExhaust(pidfile="/run/opener.pid", spare=Spare(1)))
    says(host, "opened")
    heal(host, before)
    finish(host, by_the_watchdog(host, FdExhaust(pidfile="/run/opener.pid")))
    assert host.sandbox.sh(OPENER_LIMITS) == limits


def test_a_limit_that_somebody_else_has_set_meanwhile_stays(host: Rig) -> None:
    host.sandbox.sh("setsid sleep 543 </dev/null >/dev/null 2>&1 &")
    before = bite(host, FdExhaust(pattern="sleep 543"))
    host.sandbox.sh("prlimit --pid $(pgrep -f 'sleep 543') --nofile=77:")
    heal(host, before)
    assert "77" in host.sandbox.sh("grep 'open files' /proc/$(pgrep -f 'sleep 543')/limits")


# ---- pid-exhaust ----------------------------------------------------------------------------------------------------

FORKER = """
cat >/tmp/forker.py <<'END'
import os, time
while True:
    try:
        child = os.fork()
        if not child:
            os._exit(0)
        os.waitpid(child, 0)
        said = "forked"
    except OSError as error:
        said = error.strerror
    os.write(1, f"{said}\\n".encode())
    time.sleep(0.05)
END
chmod 644 /tmp/forker.py
touch /tmp/forked && chmod 666 /tmp/forked
setsid USER python3 -S /tmp/forker.py </dev/null >>/tmp/forked 2>&1 &
echo $!
sleep 0.3
"""


def forks(host: Rig, text: str) -> None:
    host.sandbox.sh(": >/tmp/forked")
    eventually(f"grep -q '{text}' /tmp/forked", host.sandbox, 5)


@pytest.mark.parametrize("mechanism", ["prlimit", "python3"])
def test_a_user_may_start_no_more_processes(host: Rig, mechanism: str) -> None:
    host.sandbox.sh(FORKER.replace("USER", NOBODY))
    forks(host, "forked")
    limits = host.sandbox.sh("grep processes /proc/$(pgrep -o -f '[f]orker.py')/limits")
    fault = PidExhaust(pattern="forker.py", mechanism=mechanism)
    before = bite(host, fault)
    forks(host, "Resource temporarily unavailable")
    heal(host, before)
    forks(host, "forked")
    finish(host, killed_half_way(host, fault, "sd_limit_family"))
    assert host.sandbox.sh("grep processes /proc/$(pgrep -o -f '[f]orker.py')/limits") == limits


def test_root_has_no_limit_of_processes_and_is_refused(host: Rig) -> None:
    host.sandbox.sh(FORKER.replace("USER", ""))
    with pytest.raises(AssertionError, match="root has no limit of processes"):
        host.plan(PidExhaust(pattern="forker.py", mechanism="prlimit"))


@pytest.mark.parametrize("group", ["pids"], indirect=True)
def test_a_control_group_has_no_free_pid(host: Rig, group: str) -> None:
    pid = host.sandbox.sh(FORKER.replace("USER", "")).strip()
    fault = PidExhaust(pattern="forker.py", mechanism="pids")
    host.sandbox.sh(f"echo 100 >{group}/pids.max; echo {pid} >{group}/cgroup.procs")
    before = bite(host, fault)
    forks(host, "Resource temporarily unavailable")
    heal(host, before)
    assert host.sandbox.sh(f"cat {group}/pids.max") == "100\n"
    forks(host, "forked")
    finish(host, by_the_watchdog(host, fault))
    finish(host, killed_half_way(host, fault, "sd_pids_full"))
    assert host.sandbox.sh(f"cat {group}/pids.max") == "100\n"
    forks(host, "forked")
