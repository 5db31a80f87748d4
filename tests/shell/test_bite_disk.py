"""disk-full on realistic volumes: with other users, of different mounts and sizes."""

from __future__ import annotations

import shlex
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stormdesk.core.errors import RefusedError
from stormdesk.core.model import Completed
from stormdesk.core.values import Size
from stormdesk.faults.disk.disk_full import DiskFull
from stormdesk.host.scripts import probe as probe_script
from stormdesk.infra.backends.lab import volume
from tests.shell.rig import CONFIRMED, Rig, rig, states
from tests.shell.sandbox import SHELLS
from tests.shell.test_bite import bite, heal
from tests.skips import cannot

DATA = "/var/lib/trading"
OURS = ".stormdesk-r-20261121-0312-k3f9"
FEW = DiskFull(size=Size("4MiB"))


@pytest.fixture(params=SHELLS)
def host(request: pytest.FixtureRequest) -> Iterator[Rig]:
    with rig(request.param) as one:
        yield one


def reverted(host: Rig) -> str:
    """Revert, which must verify; returns what the host said. Nothing of ours is left on the volume."""
    done = host.revert(patience_s=0.5)
    assert done.code == 0, done.stdout
    assert not host.sandbox.sh(f"find {DATA} -name '.stormdesk-*'")
    return done.stdout


def used_mib(host: Rig) -> int:
    return int(host.sandbox.sh(f"df -Pm {DATA} | tail -n 1").split()[2])


# ---- others use the volume too --------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["below --path", "elsewhere"])
def test_case_C05_growth_of_the_volume_is_no_dirt(host: Rig, where: str) -> None:
    host.sandbox.sh(f"mkdir {DATA}/trader")
    bite(host, DiskFull(path=f"{DATA}/trader", size=Size("4MiB")))
    host.sandbox.sh(f"head -c 20971520 /dev/zero >{DATA}/{'trader/' if where == 'below --path' else ''}grown")
    assert "space_kib=+20480" in reverted(host)


def test_case_C05_files_that_others_delete_are_no_dirt(host: Rig) -> None:
    host.sandbox.sh(f"head -c 20971520 /dev/zero >{DATA}/old")
    bite(host, FEW)
    host.sandbox.sh(f"rm {DATA}/old")
    assert "space_kib=-20480" in reverted(host)


def test_case_C05_a_deleted_file_that_is_held_open_is_no_dirt(host: Rig) -> None:
    host.sandbox.sh(f"mkdir {DATA}/trader")
    bite(host, DiskFull(path=f"{DATA}/trader", size=Size("4MiB")))
    host.sandbox.sh(f"head -c 20971520 /dev/zero >{DATA}/log; sleep 60 <{DATA}/log >/dev/null 2>&1 &")
    host.sandbox.sh(f"rm {DATA}/log")
    reverted(host)


@pytest.mark.parametrize("how", ["a second name", "a reader"])
def test_case_C05_our_blocks_go_also_where_somebody_else_keeps_our_file(host: Rig, how: str) -> None:
    bite(host, FEW)
    kept = f"ln {DATA}/{OURS} {DATA}/kept" if how == "a second name" else f"sleep 60 <{DATA}/{OURS} >/dev/null 2>&1 &"
    host.sandbox.sh(f"{kept}")
    assert used_mib(host) == 4
    reverted(host)
    assert used_mib(host) == 0


def test_case_C05_what_has_our_name_but_another_inode_is_not_emptied(host: Rig) -> None:
    bite(host, FEW)
    host.sandbox.sh(f"echo theirs >{DATA}/theirs; ln -f {DATA}/theirs {DATA}/{OURS}")
    reverted(host)
    assert host.sandbox.sh(f"cat {DATA}/theirs") == "theirs\n"


def test_case_C05_our_file_removed_by_an_operator_is_clean(host: Rig) -> None:
    before = bite(host, FEW)
    host.sandbox.sh(f"rm {DATA}/{OURS}")
    heal(host, before)


# ---- no walk of user data -------------------------------------------------------------------------------------------

LOGGED = "/tmp/walked"


def residue(host: Rig, *folders: str) -> Completed:
    return host.sandbox.script(shlex.join(probe_script("residue", "", *folders)))


def test_case_C22_nothing_in_the_protocol_walks_user_data(host: Rig) -> None:
    """Tools that walk a tree note that they were called, and fail."""
    box = host.sandbox
    for tool in ("du", "find"):
        box.sh(f"printf '#!/bin/sh\\necho {tool} >>{LOGGED}\\nexit 1\\n' >/tmp/{tool}; chmod 755 /tmp/{tool}")
        box.sh(f'path=$(command -v {tool}) && mount --bind /tmp/{tool} "$(readlink -f "$path")"')
    assert states(host.arm(host.plan(FEW))) == CONFIRMED
    assert host.revert().ok
    assert host.clear().ok
    done = residue(host, DATA)
    assert (done.code, done.stdout) == (0, "")
    assert not box.script(f"cat {LOGGED}").ok


def test_case_C22_residue_is_found_where_we_write(host: Rig) -> None:
    host.sandbox.sh(f"mkdir '{DATA}/a b'; : >{DATA}/{OURS}; : >'{DATA}/a b/{OURS}.probe'")
    done = residue(host, DATA, f"{DATA}/a b")
    assert done.stdout.splitlines() == [f"file {DATA}/{OURS}", f"file {DATA}/a b/{OURS}.probe"]


# ---- whose file system it is ----------------------------------------------------------------------------------------

REFUSED_MOUNTS = {
    "a bind mount of a folder on /": "mkdir -p /srv/src /srv/data; mount --bind /srv/src /srv/data",
    "a folder on /": "mkdir -p /srv/data",
    "a bind mount of a folder on /run": "mkdir -p /run/src /srv/data; mount --bind /run/src /srv/data",
    "a bind mount of /tmp, mounted again": "mkdir -p /srv/a /srv/data; mount --bind /tmp /srv/a; mount --bind /srv/a /srv/data",
}


@pytest.mark.parametrize("how", REFUSED_MOUNTS)
def test_case_C06_a_file_system_is_known_by_its_device(how: str) -> None:
    with rig("dash") as host:
        host.sandbox.sh(REFUSED_MOUNTS[how])
        fault = DiskFull(path="/srv/data")
        with pytest.raises(RefusedError, match="is not a separate mount; filling it would fill /"):
            fault.plan(host.facts(fault), host.site(), None)


def test_case_C06_a_bind_mount_of_a_data_volume_is_filled() -> None:
    with rig("dash") as host:
        host.sandbox.sh(f"mkdir -p {DATA}/src /srv/data; mount --bind {DATA}/src /srv/data")
        heal(host, bite(host, DiskFull(path="/srv/data")))


def test_case_C06_an_overlay_whose_files_lie_on_a_system_disk_is_refused() -> None:
    with rig("dash") as host:
        host.sandbox.sh(
            "mkdir -p /run/up/upper /run/up/work /run/up/lower /srv/data;"
            "mount -t overlay -o lowerdir=/run/up/lower,upperdir=/run/up/upper,workdir=/run/up/work overlay /srv/data"
        )
        fault = DiskFull(path="/srv/data")
        with pytest.raises(RefusedError, match="filling it would fill /"):
            fault.plan(host.facts(fault), host.site(), None)


SECOND_NAMES = {
    "a bind mount": f"mkdir -p {DATA}/src /srv/data; mount --bind {DATA}/src /srv/data",
    "an overlay above it": f"cd {DATA}; mkdir -p upper work lower /srv/data;"
    f"mount -t overlay -o lowerdir={DATA}/lower,upperdir={DATA}/upper,workdir={DATA}/work overlay /srv/data",
}


@pytest.mark.parametrize("how", SECOND_NAMES)
def test_two_runs_on_one_file_system_exclude_each_other_by_whatever_mount(how: str) -> None:
    with rig("dash") as host:
        host.sandbox.sh(SECOND_NAMES[how])
        other = Rig(host.sandbox, run_id="r-20261121-0399-aaaa")
        (resource,) = other.plan(DiskFull(path="/srv/data", size=Size("4MiB"))).change.resources
        bite(host, FEW)
        refused = other.arm(other.plan(DiskFull(path="/srv/data", size=Size("4MiB"))))
        assert (refused.code, f"{resource} is taken by run {host.run_id}" in refused.stdout) == (10, True), refused
        reverted(host)


# ---- large volumes, and small amounts -------------------------------------------------------------------------------


@contextmanager
def volume_of(host: Rig, folder: Path, size: str, make: str) -> Iterator[str]:
    """A sparse file system of that size on the sandbox, made by `make`; for a test's own image."""
    if not volume.loops_available():
        cannot("it has no loop devices")
    image = folder / "big"
    with image.open("wb") as file:
        file.truncate(Size(size))
    subprocess.run([*make.split(), image], check=True, timeout=30)
    loop = subprocess.run(
        ["losetup", "-f", "--show", image], check=True, capture_output=True, text=True, timeout=10
    ).stdout.strip()
    try:
        host.sandbox.sh(f"mknod {loop} b 7 {loop.removeprefix('/dev/loop')}; mkdir -p /srv/big")
        host.sandbox.sh(f"mount -o discard {loop} /srv/big; chmod 777 /srv/big")
        yield "/srv/big"
        host.sandbox.sh("umount /srv/big")
    finally:
        subprocess.run(["losetup", "-d", loop], check=True, timeout=10)  # at its last umount, if a test fails


@pytest.mark.parametrize(("size", "most_s"), [("64MiB", 5), ("20GiB", 5)])
def test_case_C07_the_time_to_fill_a_volume_does_not_grow_with_its_size(
    host: Rig, tmp_path: Path, size: str, most_s: float
) -> None:
    with volume_of(host, tmp_path, size, "mkfs.ext4 -q -m 0") as folder:
        plan = host.plan(DiskFull(path=folder))
        assert plan.change.mechanism == "fallocate"
        started = time.monotonic()
        done = host.arm(plan)
        assert states(done) == CONFIRMED, done.stdout
        assert time.monotonic() - started < most_s
        assert "No space left on device" in done.stdout
        assert host.sandbox.sh(f"df -Pk {folder} | tail -n 1").split()[3] == "0"
        assert host.revert().ok
        assert host.clear().ok
        assert int(host.sandbox.sh(f"df -Pk {folder} | tail -n 1").split()[2]) < 1024


@pytest.mark.parametrize("make", ["mkfs.ext4 -q", "mkfs.ext2 -q"])  # ext2 knows no fallocate
@pytest.mark.parametrize("mechanism", ["fallocate", "dd"])
@pytest.mark.parametrize("size", ["4KiB", "60KiB", "900KiB"])
def test_case_C15_the_witness_sees_the_blocks_of_small_files(
    tmp_path: Path, make: str, mechanism: str, size: str
) -> None:
    with rig("dash") as host, volume_of(host, tmp_path, "200MiB", make) as folder:
        for place in (folder, DATA):  # and a tmpfs
            assert states(host.arm(host.plan(DiskFull(path=place, size=Size(size), mechanism=mechanism)))) == CONFIRMED
            assert host.revert().ok
            assert host.clear().ok


def test_case_C15_a_file_that_took_no_blocks_is_no_evidence(host: Rig) -> None:
    """A fallocate that only says that it did."""
    host.sandbox.sh("mount --bind /bin/true $(command -v fallocate)")
    done = host.arm(host.plan(DiskFull(size=Size("60KiB"))))
    assert "CONFIRMED" not in states(done)
    assert host.revert().ok


# ---- where no file can be made --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "path", "reason"),
    [
        (f"mount -o remount,ro {DATA}", DATA, "mounted read-only"),
        (
            f"mkdir {DATA}/a; mount --bind {DATA}/a {DATA}/a; mount -o remount,bind,ro {DATA}/a",
            f"{DATA}/a",
            "read-only",
        ),
        (f": >{DATA}/file", f"{DATA}/file", "it is a regular empty file, not a folder"),
        (f"mount -o remount,nr_inodes=1 {DATA}", DATA, "no free inodes"),
    ],
)
def test_case_C21_what_cannot_be_written_is_refused_with_the_reason(how: str, path: str, reason: str) -> None:
    with rig("dash") as host:
        host.sandbox.sh(how)
        fault = DiskFull(path=path, size=Size("4MiB"))
        with pytest.raises(RefusedError, match=reason):
            fault.plan(host.facts(fault), host.site(), None)
        assert host.status().empty
