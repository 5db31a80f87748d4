"""System calls that fail, lie or take long: a process sees it itself, and runs on unharmed when it is over, however that comes about."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from stormdesk.core.errors import RefusedError
from stormdesk.core.fault import Fault
from stormdesk.core.inventory import ServiceEntry
from stormdesk.core.plan import Plan
from stormdesk.core.values import Count, Duration
from stormdesk.core.words import CallError, Calls
from stormdesk.faults.disk.disk_error import DiskError
from stormdesk.faults.disk.disk_slow import DiskSlow
from stormdesk.faults.disk.fsync_lies import FsyncLies
from stormdesk.faults.disk.power_cut import PowerCut
from stormdesk.host import probe
from tests.shell.rig import CONFIRMED, Rig, rig, states
from tests.shell.sandbox import SHELLS, eventually, require
from tests.shell.test_bite import SUPERVISOR, bite, heal
from tests.shell.test_bite_power import ext4

DATA = "/var/lib/trading"
# Writes a line and syncs it, ten times a second, and writes down what each call answered: `w <count or errno> s <errno or 0>`.
WRITER = f"""
cat >/tmp/writer.py <<'END'
import os, time
log = os.open("{DATA}/log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
said = open("/tmp/said", "a", buffering=1)
def tried(call, *words):
    try:
        return call(*words) or 0
    except OSError as error:
        return os.strerror(error.errno)
while True:
    said.write(f"w {{tried(os.write, log, b'line' * 1024)}} s {{tried(os.fsync, log)}}\\n")
    time.sleep(0.1)
END
"""


@pytest.fixture(params=SHELLS)
def host(request: pytest.FixtureRequest) -> Iterator[Rig]:
    require("strace")
    with rig(request.param) as one:
        start(one)
        yield one


def start(one: Rig) -> str:
    one.sandbox.sh(WRITER)
    pid = one.sandbox.sh("setsid python3 /tmp/writer.py </dev/null >/dev/null 2>&1 & echo $!").strip()
    eventually("grep -q '^w 4096 s 0' /tmp/said", one.sandbox, 10)
    return pid


def saying(one: Rig, text: str, within_s: float = 5.0) -> None:
    """The process says, from now on, that its calls answered so."""
    one.sandbox.sh(": >/tmp/said")
    eventually(f"tail -n 1 /tmp/said | grep -q '{text}'", one.sandbox, within_s)


def unharmed(one: Rig) -> None:
    """It runs, is not stopped, and nobody traces it."""
    status = one.sandbox.sh("cat /proc/$(pgrep -f writer.py | head -n 1)/status")
    assert "State:\tS" in status
    assert "TracerPid:\t0" in status
    saying(one, "w 4096 s 0")


FAULTS = {
    "a lie": (FsyncLies(pattern="writer.py"), "w 4096 s 0"),
    "EIO": (DiskError(pattern="writer.py"), "w 4096 s Input/output error"),
    "a full disk": (
        DiskError(pattern="writer.py", calls=Calls("write"), error=CallError("ENOSPC"), path=f"{DATA}/log"),
        "w No space left on device s 0",
    ),
    "nothing written": (
        DiskError(pattern="writer.py", calls=Calls("write"), error=CallError("SHORT"), path=f"{DATA}/log"),
        "w 0 s 0",
    ),
}


@pytest.mark.parametrize("what", FAULTS)
def test_the_process_sees_it_and_runs_on_afterwards(host: Rig, what: str) -> None:
    fault, text = FAULTS[what]
    done = host.arm(host.plan(fault))
    assert (done.code, states(done)) == (0, CONFIRMED), done.stdout
    saying(host, text)
    done = host.revert()
    assert done.ok, done.stdout
    assert int(probe.records(done.stdout)[0].value("hits")) > 0
    unharmed(host)
    assert host.clear().ok


def test_a_short_write_leaves_the_file_and_the_next_try_writes_it_all(host: Rig) -> None:
    """What is documented: 0 is what was written, so nobody who looks loses a byte."""
    fault = DiskError(
        pattern="writer.py", calls=Calls("write"), error=CallError("SHORT"), path=f"{DATA}/log", every=Count(2)
    )
    assert states(host.arm(host.plan(fault))) == CONFIRMED
    saying(host, "w 0 s 0")
    host.sandbox.sh("pkill -STOP -f '[w]riter.py'; sleep 0.3")
    said = host.sandbox.sh("cat /tmp/said").splitlines()
    size = int(host.sandbox.sh(f"stat -c %s {DATA}/log"))
    host.sandbox.sh(": >/tmp/said; pkill -CONT -f '[w]riter.py'")
    eventually("[ $(wc -l </tmp/said) -ge 10 ]", host.sandbox, 10)
    host.sandbox.sh("pkill -STOP -f '[w]riter.py'; sleep 0.3")
    lines = host.sandbox.sh("cat /tmp/said").splitlines()
    grown = int(host.sandbox.sh(f"stat -c %s {DATA}/log")) - size
    whole = sum(line == "w 4096 s 0" for line in lines)
    assert {"w 4096 s 0", "w 0 s 0"} == {*said, *lines}
    assert abs(grown - 4096 * whole) <= 4096, (grown, whole)  # one may be written and not yet said
    host.sandbox.sh("pkill -CONT -f '[w]riter.py'")
    assert host.revert().ok
    unharmed(host)


def test_a_slow_sync_takes_so_long(host: Rig) -> None:
    assert states(host.arm(host.plan(DiskSlow(pattern="writer.py", delay=Duration("500ms"))))) == CONFIRMED
    host.sandbox.sh("sleep 0.6; : >/tmp/said; sleep 3")
    assert 3 <= int(host.sandbox.sh("wc -l </tmp/said")) <= 7
    assert host.revert().ok
    host.sandbox.sh(": >/tmp/said; sleep 3")
    assert int(host.sandbox.sh("wc -l </tmp/said")) > 10
    unharmed(host)


def test_one_of_three_fails(host: Rig) -> None:
    assert states(host.arm(host.plan(DiskError(pattern="writer.py", every=Count(3))))) == CONFIRMED
    host.sandbox.sh(": >/tmp/said")
    eventually("[ $(wc -l </tmp/said) -ge 12 ]", host.sandbox, 10)
    said = host.sandbox.sh("head -n 12 /tmp/said").splitlines()
    assert sum("error" in line for line in said) == 4
    assert host.revert().ok
    unharmed(host)


@pytest.mark.parametrize("how", ["watchdog", "strace killed", "injector killed"])
def test_however_it_ends_the_process_is_unharmed(host: Rig, how: str) -> None:
    plan = host.plan(DiskError(pattern="writer.py"), ttl_s=8.0 if how == "watchdog" else 20.0)
    if how == "injector killed":
        assert states(host.sandbox.script(host.arm_script(plan, inject=False)))[-1] == "ACKED"
        host.sandbox.sh("(setsid sh /run/stormdesk/r-*/inject.sh /run/stormdesk/r-* >/dev/null 2>&1 &)")
        eventually("pgrep -x strace", host.sandbox, 10)
        host.sandbox.sh("kill -KILL -$(readlink /run/stormdesk/r-*/go | sed 's/[.].*//')")
    else:
        assert states(host.arm(plan)) == CONFIRMED
    if how == "strace killed":
        host.sandbox.sh("pkill -KILL -x strace")
        unharmed(host)
    if how == "watchdog":
        eventually("grep -q ' REVERTED ' /run/stormdesk/r-*/record", host.sandbox, 40)
    else:
        assert host.revert().ok
    assert not host.sandbox.script("pgrep -x strace").ok
    unharmed(host)
    assert host.clear().ok


def test_a_process_that_is_traced_already_is_refused(host: Rig) -> None:
    host.sandbox.sh("setsid strace -qq -o /dev/null -p $(pgrep -f writer.py) </dev/null >/dev/null 2>&1 & sleep 0.5")
    plan = planned(host, FsyncLies(pattern="python3 /tmp/writer"))
    assert not isinstance(plan, Plan)
    assert "somebody traces process" in plan.reason


def planned(host: Rig, fault: Fault) -> object:
    return fault.plan(host.facts(fault), host.site(), None)


def test_a_protected_process_is_refused(host: Rig) -> None:
    host.sandbox.sh("cp $(command -v sleep) /tmp/sshd; setsid /tmp/sshd 1000 </dev/null >/dev/null 2>&1 & sleep 0.3")
    with pytest.raises(RefusedError, match="is an SSH server"):
        planned(host, FsyncLies(pattern="1000"))


@pytest.mark.parametrize("shell", SHELLS)
def test_a_service_that_starts_again_is_followed(shell: str) -> None:
    require("strace", "supervisord", "supervisorctl")
    with rig(shell) as one:
        one.host = msgspec.structs.replace(
            one.host, services={"trader": ServiceEntry(user="nobody", manager="supervisor")}
        )
        one.sandbox.sh(SUPERVISOR)
        eventually("pgrep -f 'sleep 1000'", one.sandbox, 10)
        before = bite(one, FsyncLies(service="trader"))
        first = one.sandbox.sh("pgrep -f '^sleep 1000'").strip()
        one.sandbox.sh(f"kill -KILL {first}")
        eventually("p=$(pgrep -f '^sleep 1000') && grep -q '^TracerPid:.*[1-9]' /proc/$p/status", one.sandbox, 15)
        second = one.sandbox.sh("pgrep -f '^sleep 1000'").strip()
        assert second != first
        heal(one, before)
        assert "TracerPid:\t0" in one.sandbox.sh(f"cat /proc/{second}/status")


def test_a_lie_and_a_loss_of_power_lose_what_was_acknowledged(tmp_path: Path) -> None:
    """The point of it all: with a fsync that lies the synced line is gone."""
    require("strace")
    for one in ext4("dash", tmp_path / "image"):
        one.sandbox.sh(f"sync; : >{DATA}/log; sync {DATA}/log")
        start(one)
        before = int(one.sandbox.sh(f"stat -c %s {DATA}/log"))
        assert states(one.arm(one.plan(FsyncLies(pattern="writer.py")))) == CONFIRMED
        saying(one, "w 4096 s 0")
        time.sleep(1)
        acknowledged = int(one.sandbox.sh(f"stat -c %s {DATA}/log"))
        other = Rig(one.sandbox, run_id="r-20261121-0399-aaaa", host=one.host)
        assert states(other.arm(other.plan(PowerCut()))) == CONFIRMED
        assert before <= int(one.sandbox.sh(f"tr -d '\\0' <{DATA}/log | wc -c")) < acknowledged
        assert other.revert().ok
        assert one.revert().ok
