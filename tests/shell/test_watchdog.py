"""The watchdog while it waits, on a host without free pids, and beside an operator; and who was first."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stormdesk.core.plan import Step
from stormdesk.core.values import Signal
from stormdesk.faults.disk.disk_full import DiskFull
from stormdesk.faults.net.adapter_down import AdapterDown
from stormdesk.faults.process.process_kill import ProcessKill
from stormdesk.host import probe
from tests.cases.planning import changed
from tests.shell.rig import CONFIRMED, Rig, beside, picture, rig, same, states
from tests.shell.sandbox import eventually

REC = "/run/stormdesk/r-20261121-0312-k3f9"
PIDS = Path("/sys/fs/cgroup/pids")
# Of both watchdogs and all that they started: pid, and processor time so far in clock ticks.
SPENT = (
    "for p in $(pgrep -f '[w]atchdog.sh|life[.]'); do echo $p $(sed 's/.*) //' /proc/$p/stat | cut -d' ' -f12-15); done"
)


@beside
def test_a_watchdog_that_waits_starts_nothing_and_takes_no_processor_time(host: Rig) -> None:
    assert states(host.arm(host.plan(DiskFull(), ttl_s=30))) == CONFIRMED
    time.sleep(1.5)  # the start of a watchdog is no part of its waiting
    first = host.sandbox.sh(SPENT).splitlines()
    time.sleep(4)
    assert host.sandbox.sh(SPENT).splitlines() == first
    assert len(first) >= 6
    assert host.revert().ok
    assert host.clear().ok
    assert not host.sandbox.script("pgrep -f '[w]atchdog.sh|life[.]'").ok


@contextmanager
def no_free_pids(host: Rig) -> Iterator[None]:
    """The watchdogs, and what they wait with, cannot fork."""
    group = PIDS / f"stormdesk-test-{host.sandbox.pid}"
    group.mkdir()
    try:
        inside = host.sandbox.sh("pgrep -f '[w]atchdog.sh|life[.]'").split()
        (group / "pids.max").write_text("1")
        for pid in outside(host, inside):
            with contextlib.suppress(ProcessLookupError):  # one that they waited with has just ended
                (group / "cgroup.procs").write_text(pid)
        yield
    finally:
        (group / "pids.max").write_text("max")
        until = time.monotonic() + 10
        while (left := (group / "cgroup.procs").read_text().split()) and time.monotonic() < until:
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    (PIDS / "cgroup.procs").write_text(pid)
        group.rmdir()


def outside(host: Rig, inside: list[str]) -> list[str]:
    """The machine's pids of these of the sandbox."""
    space = Path(f"/proc/{host.sandbox.pid}/ns/pid").readlink()
    found = []
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            lines = dict(line.partition(":")[::2] for line in status.read_text().splitlines())
            if (status.parent / "ns/pid").readlink() == space and lines["NSpid"].split()[-1] in inside:
                found.append(status.parent.name)
        except OSError:
            continue
    return found


@pytest.mark.parametrize("shell", ["dash", "busybox"])
def test_case_C09_a_host_without_free_pids_does_not_lose_its_watchdogs(shell: str) -> None:
    """Their deadline comes while nothing can be forked; as soon as something can, they heal."""
    if not (PIDS / "cgroup.procs").exists():
        pytest.skip("no pids controller of cgroup v1 here")
    with rig(shell) as host:
        before = picture(host.sandbox)
        assert states(host.arm(host.plan(AdapterDown(interface="eth1"), ttl_s=4))) == CONFIRMED
        alive = host.record().watchdogs
        with no_free_pids(host):
            time.sleep(6)
            assert host.record().watchdogs == alive  # the very same two
            assert host.sandbox.sh("cat /sys/class/net/eth1/operstate") == "down\n"
        eventually(f"grep -q REVERTED {REC}/record", host.sandbox, 6)
        assert host.record().value("reverted_by") == "watchdog"
        assert host.clear().ok
        same(before, host.sandbox)


@beside
def test_a_watchdog_leaves_an_operator_who_repairs_by_hand_alone(host: Rig) -> None:
    """Something stays that it cannot undo. It tries for some seconds; from an operator's change on it only looks."""
    before = picture(host.sandbox)
    plan = host.plan(AdapterDown(interface="eth1"), ttl_s=2.5)
    stays = Step(("ip", "route", "add", "10.55.0.0/16", "dev", "lo"), ())
    assert states(host.arm(changed(plan, steps=(*plan.change.steps, stays)))) == CONFIRMED
    eventually(f"grep -q not_verified {REC}/record", host.sandbox, 8)
    assert host.sandbox.sh("cat /sys/class/net/eth1/operstate") == "up\n"
    time.sleep(4)
    host.sandbox.sh("ip link set eth1 down")
    eventually(f"grep -q somebody_repairs {REC}/record", host.sandbox, 8)
    time.sleep(2.5)
    assert host.sandbox.sh("cat /sys/class/net/eth1/operstate") == "down\n"
    host.sandbox.sh(
        "ip link set eth1 up; ip -6 addr add fd99::2/64 dev eth1 nodad; ip route add 10.99.0.0/16 via 10.9.1.1 dev eth1; "
        "ip -6 route add fd98::/64 via fd99::1 dev eth1; ip route del 10.55.0.0/16 dev lo"
    )
    eventually(f"grep -q REVERTED {REC}/record", host.sandbox, 12)
    assert host.clear().ok
    same(before, host.sandbox)


@beside
def test_case_C29_who_reverted_first_stays_on_record(host: Rig) -> None:
    before = picture(host.sandbox)
    assert states(host.arm(host.plan(DiskFull(), ttl_s=2.5))) == CONFIRMED
    eventually(f"grep -q REVERTED {REC}/record", host.sandbox, 6)
    late = host.record().lateness_ms
    time.sleep(1)
    for who in ("controller", "recover"):
        done = host.revert(who)
        assert done.ok
        assert (host.record().value("reverted_by"), host.record().lateness_ms) == ("watchdog", late)
    # Nor does one that is at it while another one ends, whatever they read before.
    host.sandbox.sh(
        f"sed -i '/ REVERTED /d; s/ *$//' {REC}/record; . {REC}/lib.sh; rec={REC}; sd_read; sd_put \"$sd_history\""
    )
    assert host.revert("controller").ok
    assert host.record().value("reverted_by") == "watchdog"
    assert host.clear().ok
    same(before, host.sandbox)


@beside
def test_case_C11_a_fault_that_somebody_ended_early_is_told(host: Rig) -> None:
    before = picture(host.sandbox)
    assert states(host.arm(host.plan(AdapterDown(interface="eth1")))) == CONFIRMED
    host.sandbox.sh("ip link set eth1 up")
    assert host.revert().ok
    assert host.record().value("ended_early") == "1"
    assert host.clear().ok
    assert states(host.arm(host.plan(AdapterDown(interface="eth1")))) == CONFIRMED
    assert host.revert().ok
    assert host.record().value("ended_early") == ""
    assert int(host.record().value("seen")) > 0
    assert host.clear().ok
    same(before, host.sandbox)


ORDERS = [(0, 1, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)]


@beside
def test_runs_on_one_host_end_in_any_order(host: Rig) -> None:
    """Each is judged clean when it ends, with the others in; and in the end the host is as before all of them."""
    host.sandbox.sh("setsid sleep 543 </dev/null >/dev/null 2>&1 &")
    stop = ProcessKill(pattern="sleep 543", signal=Signal("STOP"))
    before = picture(host.sandbox)
    for number, order in enumerate(ORDERS):
        runs = [Rig(host.sandbox, run_id=f"r-20261121-0{number}{n}0-k3f9") for n in range(3)]
        for one, fault in zip(runs, (DiskFull(), AdapterDown(interface="eth1"), stop), strict=True):
            done = one.arm(one.plan(fault))
            assert (done.code, states(done)) == (0, CONFIRMED), done
        for n in order:
            done = runs[n].revert()
            assert (done.code, probe.delta(done.stdout).left) == (0, ()), (order, n)
        for one in runs:
            assert one.clear().ok
        same(before, host.sandbox)


@beside
def test_a_controller_that_gives_up_leaves_the_deadline_to_the_watchdog(host: Rig) -> None:
    before = picture(host.sandbox)
    assert states(host.arm(host.plan(DiskFull(), ttl_s=4))) == CONFIRMED
    host.sandbox.sh("mount -o remount,ro /var/lib/trading")
    done = host.revert(patience_s=0.5)
    assert (done.code, states(done)[-1]) == (14, "REVERT_FAILED")
    host.sandbox.sh("mount -o remount,rw /var/lib/trading")
    eventually(f"grep -q REVERTED {REC}/record", host.sandbox, 8)
    assert host.record().value("reverted_by") == "watchdog"
    assert host.clear().ok
    same(before, host.sandbox)
