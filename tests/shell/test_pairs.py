"""Two faults on one host, injected together and lifted in either order: the host is as before. What cannot overlap is refused.

Every pair of the faults that need no service to work on. The gate draws some of them; `--counts 100` tries each.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest

from stormdesk.core.errors import RefusedError
from stormdesk.core.fault import Fault, Unsupported
from stormdesk.core.packets import Delay, Ports
from stormdesk.core.values import BitRate, Interval, Percent, Size
from stormdesk.faults.disk.disk_full import DiskFull
from stormdesk.faults.disk.disk_readonly import DiskReadonly
from stormdesk.faults.disk.inode_full import InodeFull
from stormdesk.faults.file.dir_vanish import DirVanish
from stormdesk.faults.load.cpu_stress import CpuStress
from stormdesk.faults.load.io_stress import IoStress
from stormdesk.faults.load.memory_stress import MemoryStress
from stormdesk.faults.net.adapter_down import AdapterDown
from stormdesk.faults.net.adapter_flap import AdapterFlap
from stormdesk.faults.net.dns_failure import DnsFailure
from stormdesk.faults.net.mtu_blackhole import MtuBlackhole
from stormdesk.faults.net.net_bandwidth import NetBandwidth
from stormdesk.faults.net.net_corrupt import NetCorrupt
from stormdesk.faults.net.net_latency import NetLatency
from stormdesk.faults.net.net_loss import NetLoss
from stormdesk.faults.net.net_partition import NetPartition
from stormdesk.faults.net.net_reset import NetReset
from stormdesk.faults.net.port_block import PortBlock
from stormdesk.faults.net.port_exhaust import PortExhaust
from stormdesk.faults.noop import Noop
from stormdesk.faults.time.ntp_block import NtpBlock
from stormdesk.infra.backends.lab import volume
from tests.shell.rig import CONFIRMED, Rig, picture, rig, same, states
from tests.shell.sandbox import SHELLS
from tests.skips import cannot

HERE: Sequence[Fault] = (
    AdapterDown(network="market"), AdapterFlap(network="market", down=Interval("1s"), up=Interval("1s")), CpuStress(percent=Percent(20)),
    DirVanish(), DiskFull(), DiskReadonly(), DnsFailure(), InodeFull(), IoStress(), MemoryStress(size=Size("16MiB")),
    MtuBlackhole(network="market"), NetBandwidth(network="market", rate=BitRate("1Mbit")), NetCorrupt(network="market"),
    NetLatency(network="market", delay=Delay("20ms")), NetLoss(network="market"), NetPartition(network="market"),
    NetReset(network="market"),
    Noop(), NtpBlock(), PortBlock(port=Ports("8000")), PortExhaust(),
)  # fmt: skip
PAIRS = list(itertools.permutations(HERE, 2))
IDS = ("r-20261121-0312-aaaa", "r-20261121-0312-bbbb")


@contextmanager
def as_run(host: Rig, run_id: str) -> Iterator[Rig]:
    before, host.run_id = host.run_id, run_id
    yield host
    host.run_id = before


def inject(host: Rig, run_id: str, fault: Fault) -> str:
    """Why the fault was refused, "" when it is in. Fails where it half is."""
    with as_run(host, run_id):
        try:
            made = fault.plan(host.facts(fault), host.site(), None)
            if isinstance(made, Unsupported):
                return made.reason
            done = host.arm(host.plan(fault))
        except RefusedError as error:
            return str(error)
    seen = states(done)
    assert seen == CONFIRMED or "INJECTING" not in seen, f"{fault}: {done.stdout[-400:]}"
    return "" if seen == CONFIRMED else done.stdout[-300:] or "refused"


def lift(host: Rig, run_id: str) -> None:
    with as_run(host, run_id):
        done = host.revert(patience_s=6.0)
        assert done.ok, done.stdout[-600:]


@pytest.mark.parametrize("shell", SHELLS)
def test_any_two_faults_overlap_or_are_refused(shell: str, repeats: Callable[..., int], tmp_path: Path) -> None:
    if not volume.loops_available():
        cannot("it has no loop devices")
    times = repeats(len(PAIRS), 10)
    drawn = Random(SHELLS.index(shell)).sample(PAIRS, times)
    overlapped = 0
    with rig(shell, tmp_path / "image") as host:
        # iptables leaves its tables behind, empty: they are no trace of ours.
        tables = "for table in mangle filter nat; do $tool -t $table -N x; $tool -t $table -X x; done"
        host.sandbox.sh(f"for tool in iptables ip6tables; do {tables}; done")
        host.sandbox.sh("echo '# none' >/etc/resolv.conf")  # what it would ask else is not reached from here
        host.sandbox.sh("echo 1 >/var/lib/trading/book")
        for number, (one, other) in enumerate(drawn):
            print(f"{one} + {other}, lifted {'first' if number % 2 else 'last'} first")
            before = picture(host.sandbox)
            assert inject(host, IDS[0], one) == "", one
            refused = inject(host, IDS[1], other)
            overlapped += not refused
            runs = IDS[:1] if refused else IDS
            for run_id in runs if number % 2 else reversed(runs):
                lift(host, run_id)
            for run_id in IDS:
                with as_run(host, run_id):
                    host.clear()
            same(before, host.sandbox, within_s=6.0)
    assert overlapped > times / 2, f"{times - overlapped} of {times} were refused"
