"""Faults of load on a real kernel: processor time, memory and writes as the kernel counts them; nothing stays."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from stormdesk.core.fault import Fault
from stormdesk.core.values import Count, Percent, Size
from stormdesk.faults.load.cpu_stress import CpuStress
from stormdesk.faults.load.io_stress import IoStress
from stormdesk.faults.load.memory_stress import MemoryStress
from tests.shell.rig import Rig, rig
from tests.shell.sandbox import SHELLS, require
from tests.shell.test_bite import bite, heal
from tests.shell.test_bite_process import by_the_watchdog, finish, killed_half_way

# Of stress-ng by their name: it overwrites its environment.
OURS = "{ grep -ls STORMDESK_RUN=r- /proc/[0-9]*/environ | cut -d/ -f3; pgrep stress-ng; } | sort -u"


@pytest.fixture(params=SHELLS)
def host(request: pytest.FixtureRequest) -> Iterator[Rig]:
    with rig(request.param) as one:
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
    fault = IoStress(workers=Count(1))
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
