"""Faults of processes, load, hosts and time that are broken on purpose: one that does nothing is not confirmed, and a host that is not
undone is not clean."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from stormdesk.core.fault import Fault
from stormdesk.core.offsets import Offset
from stormdesk.core.plan import Plan
from stormdesk.core.values import Count, Percent, Size
from stormdesk.faults.host.host_freeze import HostFreeze
from stormdesk.faults.load.cpu_stress import CpuStress
from stormdesk.faults.load.io_stress import IoStress
from stormdesk.faults.load.memory_stress import MemoryStress
from stormdesk.faults.process.fd_exhaust import FdExhaust
from stormdesk.faults.process.pid_exhaust import PidExhaust
from stormdesk.faults.process.process_pause import ProcessPause
from stormdesk.faults.time.clock_skew import ClockSkew
from stormdesk.faults.time.ntp_block import NtpBlock
from tests.cases.planning import changed
from tests.shell.rig import Rig, rig, states
from tests.shell.sandbox import eventually
from tests.shell.test_bite_clock import TELLER
from tests.shell.test_bite_process import NOBODY

VICTIM = f"setsid {NOBODY} sleep 543 </dev/null >/dev/null 2>&1 &"
FAULTS: list[Fault] = [
    ClockSkew(pattern="teller.py", offset=Offset("1h")),
    CpuStress(percent=Percent(50), cores=Count(1), mechanism="sh"),
    FdExhaust(pattern="sleep 543"),
    HostFreeze(),
    IoStress(workers=Count(1)),
    MemoryStress(size=Size("32MiB"), mechanism="dd"),
    NtpBlock(mechanism="nft"),
    NtpBlock(mechanism="iptables"),
    PidExhaust(pattern="sleep 543"),
    ProcessPause(pattern="sleep 543"),
]


@pytest.fixture
def host() -> Iterator[Rig]:
    with rig("dash") as one:
        one.sandbox.sh(VICTIM + TELLER.replace("EXTRA", ""))
        eventually("pgrep -x sleep && test -s /tmp/told", one.sandbox, 20)
        yield one


def with_steps(plan: Plan, **words: object) -> Plan:
    return changed(plan, steps=tuple(replace(step, **words) for step in plan.change.steps))


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_that_does_nothing_is_not_confirmed(host: Rig, fault: Fault) -> None:
    done = host.arm(with_steps(host.plan(fault, 60.0), do=("true",)))
    assert states(done)[-1] == "UNWITNESSED", done.stdout
    assert host.revert().ok


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_host_that_is_not_undone_is_not_clean(host: Rig, fault: Fault) -> None:
    plan = host.plan(fault, 60.0)
    done = host.arm(with_steps(plan, undo=(("true",),)))
    assert states(done)[-1] == "CONFIRMED", done.stdout
    done = host.revert(patience_s=0.5)
    assert not done.ok
    assert "left " in done.stdout
    host.sandbox.sh("kill -CONT -1")
