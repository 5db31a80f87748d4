"""disk-slow by rate: what a service and its children have the disk do is limited, as they count it themselves; and they are in the control
group again that they were in, however that comes about."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from stormdesk.core.errors import RefusedError
from stormdesk.core.rates import ByteRate, OperationRate
from stormdesk.core.words import Calls
from stormdesk.faults.disk.disk_slow import DiskSlow
from stormdesk.infra.backends.lab import volume
from tests.cases.planning import changed
from tests.shell.rig import CONFIRMED, Rig, rig, states
from tests.shell.sandbox import SHELLS, eventually
from tests.shell.test_bite import bite, heal
from tests.shell.test_bite_process import by_the_watchdog, finish, killed_half_way
from tests.skips import cannot

BLKIO = Path("/sys/fs/cgroup/blkio")
DATA = "/var/lib/trading"
# A parent and a child, each with a file of 256 KiB. Of 64 KiB, or with `small` of 4 KiB, they write or read one piece after the other:
# `direct` past the page cache, `sync` with a fsync of each, `plain` into the page cache. Each piece is a line in /tmp/done.<name>.
WORKER = f"""
cat >/tmp/worker.py <<'END'
import mmap, os, sys, time
how, size = sys.argv[1], 4096 if "small" in sys.argv else 65536
name = "parent" if os.fork() else "child"
flags = os.O_RDWR | os.O_CREAT | (os.O_DIRECT if how in ("direct", "read") else 0)
file = os.open(f"{DATA}/{{name}}", flags, 0o600)
piece = mmap.mmap(-1, size)
for at in range(0, 1 << 18, size):
    os.pwrite(file, piece, at)
done = open(f"/tmp/done.{{name}}", "a", buffering=1)
at = 0
while True:
    if how == "read":
        os.preadv(file, [piece], at)
    else:
        os.pwrite(file, piece, at)
    if how == "sync":
        os.fsync(file)
    done.write(".\\n")
    at = (at + size) % (1 << 18)
    time.sleep(0.002)
END
"""
THEIR_GROUPS = "for pid in $(pgrep -f '[w]orker.py'); do grep :blkio: /proc/$pid/cgroup; done"


@pytest.fixture(params=SHELLS)
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    """A host with a disk, in whose blkio hierarchy a group of the test's own holds the workers."""
    if not volume.loops_available():
        cannot("it has no loop devices")
    if not (BLKIO / "blkio.throttle.write_bps_device").exists() or not os.access(BLKIO, os.W_OK):
        cannot("it has no blkio of cgroup v1")
    made = BLKIO / f"sdtest-{os.getpid()}"
    made.mkdir()
    with rig(request.param, tmp_path / "image") as one:
        one.sandbox.sh("mkdir /mnt/blkio && mount -t cgroup -o blkio blkio /mnt/blkio; echo $$ >/dev/null")
        one.sandbox.sh(WORKER)
        yield one
        for pid in (made / "cgroup.procs").read_text().split():
            with suppress(OSError):
                os.kill(int(pid), 9)
    until = time.monotonic() + 3
    while (made / "cgroup.procs").read_text() and time.monotonic() < until:
        time.sleep(0.02)
    made.rmdir()


def start(host: Rig, *words: str) -> None:
    group = f"/mnt/blkio/sdtest-{os.getpid()}"
    host.sandbox.sh(
        f"setsid sh -c 'echo $$ >{group}/cgroup.procs; exec python3 -S /tmp/worker.py {' '.join(words)}' </dev/null >/dev/null 2>&1 &"
    )
    eventually("test -s /tmp/done.parent && test -s /tmp/done.child", host.sandbox, 10)
    host.sandbox.sh("pgrep -o -f '[w]orker.py' >/run/worker.pid")


def pieces(host: Rig, seconds: float = 3.0) -> float:
    """How many both do in a second."""
    began, before = time.monotonic(), int(host.sandbox.sh("cat /tmp/done.* | wc -l"))
    time.sleep(seconds)
    done = int(host.sandbox.sh("cat /tmp/done.* | wc -l")) - before
    return done / (time.monotonic() - began)


RATE = ByteRate("512KiB/s")  # 8 pieces of 64 KiB
WAYS = {
    "direct": (("direct",), DiskSlow(pidfile="/run/worker.pid", rate=RATE), 8),
    "sync": (("sync",), DiskSlow(pidfile="/run/worker.pid", rate=RATE), 8),
    "reads": (("read",), DiskSlow(pidfile="/run/worker.pid", rate=RATE, calls=Calls("read")), 8),
    "iops": (("direct", "small"), DiskSlow(pidfile="/run/worker.pid", iops=OperationRate(20)), 20),
}


@pytest.mark.parametrize("way", WAYS)
def test_so_much_of_the_disk_and_no_more_and_then_all_of_it(host: Rig, way: str) -> None:
    words, fault, limit = WAYS[way]
    start(host, *words)
    groups = host.sandbox.sh(THEIR_GROUPS)
    assert f"sdtest-{os.getpid()}" in groups
    free = pieces(host, 1.0)
    assert free > limit * 2, free
    before = bite(host, fault)
    slow = pieces(host)
    assert limit * 0.5 < slow < limit * 1.3, (free, slow)
    assert host.sandbox.sh(THEIR_GROUPS).count(f"/stormdesk.{host.run_id}\n") == 2
    heal(host, before)
    assert host.sandbox.sh(THEIR_GROUPS) == groups
    assert not host.sandbox.script("ls -d /mnt/blkio/*/stormdesk.r-*").ok
    assert pieces(host, 1.0) > limit * 2


def test_what_stays_in_the_page_cache_is_not_held_back(host: Rig) -> None:
    """What the docstring says of version 1: should the kernel learn it, this tells."""
    start(host, "plain")
    before = bite(host, DiskSlow(pidfile="/run/worker.pid", rate=RATE))
    assert pieces(host, 1.0) > 100
    heal(host, before)


def test_by_the_watchdog_and_after_a_killed_inject(host: Rig) -> None:
    start(host, "direct")
    groups = host.sandbox.sh(THEIR_GROUPS)
    fault = DiskSlow(pidfile="/run/worker.pid", rate=RATE)
    finish(host, by_the_watchdog(host, fault, 8.0))
    assert host.sandbox.sh(THEIR_GROUPS) == groups
    finish(host, killed_half_way(host, fault, "sd_throttle"))
    assert host.sandbox.sh(THEIR_GROUPS) == groups
    assert not host.sandbox.script("ls -d /mnt/blkio/*/stormdesk.r-*").ok
    assert pieces(host, 1.0) > 16


def test_a_child_born_meanwhile_comes_back_too_and_the_undo_may_run_twice(host: Rig) -> None:
    start(host, "direct")
    group = f"/mnt/blkio/sdtest-{os.getpid()}"
    before = bite(host, DiskSlow(pidfile="/run/worker.pid", rate=RATE))
    host.sandbox.sh(
        f"setsid sh -c 'echo $$ >{group}/stormdesk.{host.run_id}/cgroup.procs; exec sleep 300' </dev/null >/dev/null 2>&1 & sleep 0.3"
    )
    heal(host, before)
    pid = host.sandbox.sh("pgrep -f '^sleep 300'").strip()
    assert pid in host.sandbox.sh(f"cat {group}/cgroup.procs").split()


def test_a_group_that_is_throttled_already_is_refused(host: Rig) -> None:
    start(host, "direct")
    group = f"/mnt/blkio/sdtest-{os.getpid()}"
    device = host.sandbox.sh(f"grep ' {DATA} ' /proc/self/mountinfo | cut -d' ' -f3").strip()
    host.sandbox.sh(f"echo '{device} 1048576' >{group}/blkio.throttle.read_bps_device")
    fault = DiskSlow(pidfile="/run/worker.pid", rate=RATE)
    with pytest.raises(AssertionError, match="is throttled already"):
        host.plan(fault)


def test_a_disk_that_is_no_faster_by_itself_is_refused(host: Rig) -> None:
    start(host, "direct")
    plan = host.plan(DiskSlow(pidfile="/run/worker.pid", rate=RATE))
    probe = plan.proof.baseline
    done = host.arm(changed(plan, baseline=(*probe[:3], "2000 4096", "1")))
    assert "the disk is no faster by itself" in done.stdout
    assert "INJECTING" not in states(done)
    assert host.revert().ok
    assert host.clear().ok


@pytest.mark.parametrize("shell", SHELLS)
def test_no_disk_at_all_is_refused(shell: str) -> None:
    with rig(shell) as one:
        one.sandbox.sh("setsid sleep 543 </dev/null >/dev/null 2>&1 & sleep 0.2")
        with pytest.raises(RefusedError, match="it is on no disk of this host, but on tmpfs"):
            one.plan(DiskSlow(pattern="sleep 543", rate=RATE))


def test_the_evidence_fails_where_nothing_is_limited(host: Rig) -> None:
    """The witness measures: without the limit it sees none."""
    start(host, "direct")
    host.scripts = {
        name: text.replace('[ "$3" != 0 ] || return 0\n', "return 0\n") for name, text in host.scripts.items()
    }
    done = host.arm(host.plan(DiskSlow(pidfile="/run/worker.pid", rate=RATE)))
    assert states(done)[-1] == "UNWITNESSED" != CONFIRMED[-1]
    assert "past the page cache took" in done.stdout
    assert host.revert().ok
    assert host.clear().ok
