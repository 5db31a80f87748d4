"""Faults of load on a real kernel: processor time, memory and writes as the kernel counts them; nothing stays."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from stormdesk.core.fault import Fault
from stormdesk.core.values import Count, Percent, Size
from stormdesk.faults.load.cpu_stress import CpuStress
from stormdesk.faults.load.io_stress import IoStress
from stormdesk.faults.load.memory_stress import MemoryStress
from stormdesk.infra.backends.lab import volume
from tests.shell.rig import Rig, rig
from tests.shell.sandbox import SHELLS, require
from tests.shell.test_bite import bite, heal
from tests.shell.test_bite_process import by_the_watchdog, finish, killed_half_way
from tests.skips import cannot

# Of stress-ng by their name: it overwrites its environment.
OURS = "{ grep -ls STORMDESK_RUN=r- /proc/[0-9]*/environ | cut -d/ -f3; pgrep stress-ng; } | sort -u"


@pytest.fixture(params=SHELLS)
def host(request: pytest.FixtureRequest) -> Iterator[Rig]:
    with rig(request.param) as one:
        yield one


@pytest.fixture(params=SHELLS)
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    """A host with a disk: what is written there is seen as the disk counts it."""
    if not volume.loops_available():
        cannot("it has no loop devices")
    with rig(request.param, tmp_path / "image") as one:
        yield one


def processes(host: Rig) -> list[str]:
    return host.sandbox.script(OURS).stdout.split()


def ticks(host: Rig) -> int:
    """Processor time of our processes, by ps: seconds."""
    said = host.sandbox.sh(f"ps -o cputimes= -p $({OURS} | paste -sd,)")
    return sum(map(int, said.split()))


def goes_away(host: Rig, fault: Fault, verb: str) -> None:
    """By the watchdog, and when the inject is killed half-way."""
    finish(host, by_the_watchdog(host, fault, 15.0))
    assert processes(host) == []
    finish(host, killed_half_way(host, fault, verb))
    assert processes(host) == []


@pytest.mark.parametrize("mechanism", ["stress-ng", "sh"])
def test_processors_are_busy_and_then_idle(host: Rig, mechanism: str) -> None:
    if mechanism == "stress-ng":
        require("stress-ng")
    fault = CpuStress(percent=Percent(90), cores=Count(1), mechanism=mechanism)
    before = bite(host, fault)
    until = time.monotonic() + 15  # a busy machine gives it less
    then = ticks(host)
    while ticks(host) <= then and time.monotonic() < until:
        time.sleep(0.5)
    assert ticks(host) > then
    heal(host, before)
    assert processes(host) == []
    goes_away(host, fault, "sd_background" if mechanism == "stress-ng" else "sd_burn")


def test_a_part_of_a_processor_is_that_part(host: Rig) -> None:
    """The loop of the shell sleeps for the rest of each second: it cannot take more, however idle the machine is."""
    before = bite(host, CpuStress(percent=Percent(20), cores=Count(1), mechanism="sh"))
    began, then = time.monotonic(), ticks(host)
    time.sleep(6)
    assert ticks(host) - then <= 0.2 * (time.monotonic() - began) * 1.5 + 1
    heal(host, before)


@pytest.mark.parametrize("mechanism", ["stress-ng", "dd"])
def test_memory_is_held_by_who_would_go_first(host: Rig, mechanism: str) -> None:
    if mechanism == "stress-ng":
        require("stress-ng")
    fault = MemoryStress(size=Size("96MiB"), mechanism=mechanism)
    before = bite(host, fault)
    pids = processes(host)
    held = host.sandbox.sh(f"cat $(echo {' '.join(pids)} | sed 's/[0-9]*/\\/proc\\/&\\/status/g') | grep VmRSS")
    assert sum(int(line.split()[1]) for line in held.splitlines()) >= 90 * 1024
    largest = max(pids, key=lambda pid: int(host.sandbox.sh(f"grep VmRSS /proc/{pid}/status").split()[1]))
    assert host.sandbox.sh(f"cat /proc/{largest}/oom_score_adj") == "1000\n"
    heal(host, before)
    assert processes(host) == []
    goes_away(host, fault, "sd_hold_memory_ng" if mechanism == "stress-ng" else "sd_hold_memory")


def test_memory_that_went_meanwhile_is_refused(host: Rig) -> None:
    plan = host.plan(MemoryStress(size=Size("64MiB")))
    host.sandbox.sh(
        "sed 's/^MemAvailable.*/MemAvailable: 100000 kB/' /proc/meminfo >/tmp/meminfo; mount --bind /tmp/meminfo /proc/meminfo"
    )
    done = host.arm(plan)
    assert "97 MiB are available, fewer than 64 and 64 to spare" in done.stdout
    assert host.revert().ok
    assert processes(host) == []


def test_a_disk_is_written_to_and_nothing_stays(host: Rig) -> None:
    fault = IoStress(workers=Count(1), mechanism="dd")
    before = bite(host, fault)
    folder = host.sandbox.sh("echo /var/lib/trading/.stormdesk-*-io").strip()
    stamps = set()
    until = time.monotonic() + 10
    while len(stamps) < 3 and time.monotonic() < until:
        stamps.add(host.sandbox.sh(f"stat -c %y {folder}/data.1"))
        time.sleep(0.2)
    assert len(stamps) >= 3
    assert int(host.sandbox.sh(f"stat -c %s {folder}/data.1")) == 8 << 20
    heal(host, before)
    assert processes(host) == []
    assert host.sandbox.sh("ls -A /var/lib/trading") == ""
    goes_away(host, fault, "sd_write_again")
    assert host.sandbox.sh("ls -A /var/lib/trading") == ""


def test_stress_ng_writes_to_a_disk_and_nothing_stays(disk: Rig) -> None:
    require("stress-ng")
    fault = IoStress(workers=Count(1), mechanism="stress-ng")
    device = disk.sandbox.sh("grep ' /var/lib/trading ' /proc/self/mountinfo | cut -d' ' -f3").strip()

    def written() -> int:
        """MiB that the disk itself has got, by its own count of sectors."""
        return int(disk.sandbox.sh(f"cat /sys/dev/block/{device}/stat").split()[6]) // 2048

    before, then = bite(disk, fault), written()
    assert disk.sandbox.sh("ls -A /var/lib/trading | grep -c '^.stormdesk-.*-io$'") == "1\n"
    until = time.monotonic() + 10
    while written() - then < 32 and time.monotonic() < until:
        time.sleep(0.2)
    assert written() - then >= 32
    heal(disk, before)
    assert processes(disk) == []
    assert disk.sandbox.sh("ls -A /var/lib/trading") == "lost+found\n"
    goes_away(disk, fault, "sd_write_again_ng")
    assert disk.sandbox.sh("ls -A /var/lib/trading") == "lost+found\n"


OWN_GROUP: Mapping[str, tuple[Fault, str]] = {
    "cpu": (CpuStress(percent=Percent(20), cores=Count(1), mechanism="sh"), "sd_burn"),
    "memory": (MemoryStress(size=Size("32MiB"), mechanism="dd"), "sd_hold_memory"),
    "blkio": (IoStress(workers=Count(1), mechanism="dd"), "sd_write_again"),
}


@pytest.fixture(params=OWN_GROUP)
def group_of_ours(request: pytest.FixtureRequest) -> Iterator[Path]:
    """A new group of one controller of version 1, with us in it meanwhile: what comes into a sandbox comes from us."""
    top = Path("/sys/fs/cgroup", request.param)
    if not (top / "cgroup.procs").exists() or not os.access(top, os.W_OK):
        cannot(f"it has no {request.param} of cgroup v1")
    lines = [line.split(":") for line in Path("/proc/self/cgroup").read_text().splitlines()]
    home = top / next(path for _, names, path in lines if request.param in names.split(",")).lstrip("/")
    made = Path(tempfile.mkdtemp(prefix="sdtest-", dir=top))
    (made / "cgroup.procs").write_text(str(os.getpid()))
    yield made
    (home / "cgroup.procs").write_text(str(os.getpid()))
    until = time.monotonic() + 10
    while (made / "cgroup.procs").read_text() and time.monotonic() < until:
        time.sleep(0.05)  # a sandbox ends
    made.rmdir()


def test_a_stressor_is_in_a_control_group_of_its_own_which_goes_with_it(group_of_ours: Path, host: Rig) -> None:
    controller = group_of_ours.parent.name
    fault, verb = OWN_GROUP[controller]
    assert "no control group of its own (no control group with" in host.plan(fault).change.says
    host.sandbox.sh(f"mkdir /mnt/{controller} && mount -t cgroup -o {controller} {controller} /mnt/{controller}")
    ours = f"find /mnt/{controller}/{group_of_ours.name} -type d -name stormdesk.{host.run_id}"
    before = bite(host, fault)
    group = host.sandbox.sh(ours).strip()
    assert group.startswith(f"/mnt/{controller}/{group_of_ours.name}/")
    theirs = host.sandbox.sh(f"for pid in $({OURS}); do grep -hs :{controller}: /proc/$pid/cgroup; done | sort -u")
    assert [line.rpartition("/")[2] for line in theirs.splitlines()] == [f"stormdesk.{host.run_id}"]
    heal(host, before)
    assert processes(host) == []
    assert host.sandbox.sh(ours) == ""
    goes_away(host, fault, verb)
    assert host.sandbox.sh(ours) == ""
    finish(host, killed_half_way(host, fault, "sd_make_group"))
    assert host.sandbox.sh(ours) == ""
