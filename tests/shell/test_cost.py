"""What a run costs its host: processor time, as the kernel counts it for all that a script starts, and processes started."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from stormdesk.faults.noop import Noop
from stormdesk.host import render
from tests.shell.rig import Rig, rig
from tests.shell.sandbox import NSENTER, SHELLS
from tests.shell.test_pictures import QUIET_MS
from tests.skips import cannot

CPUACCT = Path("/sys/fs/cgroup/cpuacct")
ARM_MS, REVERT_MS = 68, 68  # 60 on a quiet machine; beside other tests, more than `slow` tells
ARM_FORKS, REVERT_FORKS = 60, 48
LINKS = "i=0; while [ $i -lt 200 ]; do ip -o link show >/dev/null; i=$((i + 1)); done"  # as QUIET_MS


@pytest.fixture
def group() -> Iterator[Path]:
    """A control group that counts the processor time of what is in it."""
    if not (CPUACCT / "cpuacct.usage").exists() or not os.access(CPUACCT, os.W_OK):
        cannot("it has no cpuacct of cgroup v1")
    made = CPUACCT / f"stormdesk-test-{os.getpid()}"
    made.mkdir()
    yield made
    until = time.monotonic() + 5
    while made.exists() and time.monotonic() < until:
        with suppress(OSError):
            made.rmdir()
        time.sleep(0.05)


def counted(host: Rig, group: Path, script: str) -> tuple[float, int, str]:
    """(milliseconds of processor time, processes started, what it printed) of a script in an open shell that is there already."""
    enter = f"echo $$ >{group}/cgroup.procs; exec {NSENTER} -t {host.sandbox.pid} -a sh -s"
    process = subprocess.Popen(
        ["sh", "-c", enter], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
        env={"PATH": host.sandbox.path},
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("echo ready\n")
    process.stdin.flush()
    assert process.stdout.readline() == "ready\n"
    before = int((group / "cpuacct.usage").read_text())
    out, _ = process.communicate(f": & first=$!\n{script}\n: & echo forks $(($! - first - 1))\n", timeout=30)
    time.sleep(0.3)  # the watchdogs settle
    took = (int((group / "cpuacct.usage").read_text()) - before) / 1e6
    said, _, forks = out.rpartition("forks ")
    return took, int(forks), said


@pytest.mark.parametrize("shell", SHELLS)
def test_a_run_costs_its_host_little(shell: str, group: Path) -> None:
    armed, reverted = [], []
    with rig(shell) as host:
        slow = 1.0
        for _ in range(4):
            slow = max(slow, counted(host, group, LINKS)[0] / 200 / QUIET_MS)
            took, forks, said = counted(host, group, host.arm_script(host.plan(Noop())))
            assert "CONFIRMED" in said, said
            armed.append((took, forks))
            took, forks, said = counted(host, group, render.revert(host.scripts, host.run_id, "controller", 3.0))
            assert "REVERTED" in said, said
            reverted.append((took, forks))
            assert host.clear().ok
    print(shell, armed, reverted, slow)
    assert min(armed)[0] <= ARM_MS * slow
    assert min(reverted)[0] <= REVERT_MS * slow
    assert min(forks for _, forks in armed) <= ARM_FORKS
    assert min(forks for _, forks in reverted) <= REVERT_FORKS
