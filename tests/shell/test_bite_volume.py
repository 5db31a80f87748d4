"""A volume without inodes, and one that is read-only: on a real ext4 and tmpfs, undone without a trace."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from stormdesk.core.errors import RefusedError
from stormdesk.core.fault import Fault
from stormdesk.core.values import Percent
from stormdesk.faults.disk.disk_readonly import DiskReadonly
from stormdesk.faults.disk.inode_full import InodeFull
from stormdesk.infra.backends.lab import volume
from tests.shell.rig import CONFIRMED, Rig, picture, rig, same, states
from tests.shell.sandbox import SHELLS, eventually
from tests.shell.test_bite import bite, heal
from tests.skips import cannot

DATA = "/var/lib/trading"


@pytest.fixture(params=[(shell, disk) for shell in SHELLS for disk in ("tmpfs", "ext4")], ids="-".join)
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    shell, disk = request.param
    if disk == "ext4" and not volume.loops_available():
        cannot("it has no loop devices")
    with rig(shell, tmp_path / "image" if disk == "ext4" else None) as one:
        if disk == "tmpfs":
            one.sandbox.sh(f"mount -o remount,nr_inodes=5000 {DATA}")
        yield one


def refused(host: Rig, command: str) -> str:
    done = host.sandbox.script(command)
    assert not done.ok
    return done.stderr


def test_no_file_can_be_made_though_there_is_room(host: Rig) -> None:
    host.sandbox.sh(f"echo kept >{DATA}/ledger")
    before = bite(host, InodeFull())
    assert "No space left on device" in refused(host, f": >{DATA}/new")
    host.sandbox.sh(
        f"echo more >>{DATA}/ledger; head -c 100000 /dev/zero >>{DATA}/ledger; printf 'kept\\n' >{DATA}/ledger"
    )
    heal(host, before)
    host.sandbox.sh(f": >{DATA}/new")


def test_half_of_the_inodes_can_be_used(host: Rig) -> None:
    before = bite(host, InodeFull(percent=Percent(50)))
    _, total, used, *_ = host.sandbox.sh(f"df -Pi {DATA} | tail -n 1").split()
    assert abs(int(used) / int(total) - 0.5) < 0.01
    heal(host, before)


@pytest.mark.parametrize(
    "fault",
    [InodeFull(), DiskReadonly(mechanism="remount"), DiskReadonly(mechanism="bind")],
    ids=["inodes", "remount", "bind"],
)
def test_the_watchdog_undoes_it(host: Rig, fault: Fault) -> None:
    before = picture(host.sandbox)
    assert states(host.arm(host.plan(fault, ttl_s=4.0))) == CONFIRMED
    eventually("grep -q ' REVERTED ' /run/stormdesk/r-*/record", host.sandbox, 30)
    assert host.clear().ok
    same(before, host.sandbox)


def test_an_injector_that_dies_while_it_makes_files_leaves_none(host: Rig) -> None:
    before = picture(host.sandbox)
    assert states(host.sandbox.script(host.arm_script(host.plan(InodeFull()), inject=False)))[-1] == "ACKED"
    host.sandbox.sh(
        "(setsid sh /run/stormdesk/r-*/inject.sh /run/stormdesk/r-* >/dev/null 2>&1 &)\n"
        f"until ls -d {DATA}/.stormdesk-*/* >/dev/null 2>&1; do :; done\n"
        "kill -KILL -$(readlink /run/stormdesk/r-*/go | sed 's/[.].*//')"
    )
    assert host.revert().ok
    assert host.clear().ok
    same(before, host.sandbox)


def test_a_remount_makes_all_of_it_read_only(host: Rig) -> None:
    host.sandbox.sh(f"echo kept >{DATA}/ledger")
    before = bite(host, DiskReadonly())
    assert "Read-only file system" in refused(host, f"echo more >>{DATA}/ledger")
    assert host.sandbox.sh(f"cat {DATA}/ledger") == "kept\n"
    heal(host, before)
    host.sandbox.sh(f"echo more >>{DATA}/ledger")


def test_what_is_open_for_writing_makes_it_a_mount_over_it(host: Rig) -> None:
    """The open file stays writable, all else is read-only; who works there when it ends may write again."""
    host.sandbox.sh(
        f"setsid sh -c 'exec >{DATA}/open; while sleep 0.1; do echo x; done' </dev/null >/dev/null 2>&1 & echo $! >/tmp/pid"
    )
    eventually(f"test -s {DATA}/open", host.sandbox, 5)
    plan = host.plan(DiskReadonly())
    assert plan.change.mechanism == "bind"
    assert "has a file open for writing" in plan.change.rejected[0][1]
    assert states(host.arm(plan)) == CONFIRMED
    assert "Read-only file system" in refused(host, f": >{DATA}/new")
    size = int(host.sandbox.sh(f"stat -c %s {DATA}/open"))
    eventually(f"[ $(stat -c %s {DATA}/open) -gt {size} ]", host.sandbox, 5)
    host.sandbox.sh(f"cd {DATA}; setsid sleep 1000 </dev/null >/dev/null 2>&1 & echo $! >/tmp/worker")
    done = host.revert()
    assert done.ok, done.stdout
    host.sandbox.sh(f": >{DATA}/new; : >/proc/$(cat /tmp/worker)/cwd/newer; test -e {DATA}/newer")
    assert host.sandbox.sh(f"grep -c ' {DATA} ' /proc/mounts") == "1\n"
    assert host.clear().ok


@pytest.mark.parametrize(
    "fault", [InodeFull(path="/srv/data"), DiskReadonly(path="/srv/data")], ids=["inodes", "readonly"]
)
def test_a_folder_of_the_system_is_refused(fault: Fault) -> None:
    with rig("dash") as one:
        one.sandbox.sh("mkdir -p /srv/data")
        facts = one.facts(fault)
        with pytest.raises(RefusedError, match="is not a separate mount"):
            fault.plan(facts, one.site(), None)
