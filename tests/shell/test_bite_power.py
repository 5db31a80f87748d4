"""A loss of power on a real ext4: what was synced stays, what was not is gone, and the volume and its services come back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from stormdesk.core.errors import RefusedError
from stormdesk.core.inventory import ServiceEntry
from stormdesk.faults.disk.power_cut import PowerCut
from stormdesk.host import render
from stormdesk.infra.backends.lab import volume
from tests.shell.rig import CONFIRMED, Rig, picture, rig, same, states
from tests.shell.sandbox import SHELLS, eventually, require
from tests.shell.test_bite import SUPERVISOR, bite, heal
from tests.skips import cannot

DATA = "/var/lib/trading"
# The node of its device, which somebody holds, as the lab's init does: a loop device goes with its last user.
NODE = f"""
d=$(stat -c %d {DATA})
mknod /dev/loop$((d & 255)) b 7 $((d & 255))
setsid sleep 4444 <"/dev/loop$((d & 255))" >/dev/null 2>&1 &
"""
# Writes a line, syncs it, writes another one: `synced` is on disk, `unsynced` is not.
WRITER = f"""
cat >/tmp/writer.py <<'END'
import os, time
log = os.open("{DATA}/log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
for number in range(50):
    os.write(log, b"synced\\n")
os.fsync(log)
more = os.open("{DATA}/more", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
for number in range(50):
    os.write(more, b"unsynced\\n")
open("/tmp/written", "w").close()
time.sleep(1000)
END
"""


def ext4(shell: str, image: Path) -> Iterator[Rig]:
    if not volume.loops_available():
        cannot("it has no loop devices")
    with rig(shell, image) as one:
        one.sandbox.sh(NODE)
        yield one


@pytest.fixture(params=SHELLS)
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    yield from ext4(request.param, tmp_path / "image")


def write(host: Rig) -> str:
    """A process that has synced 50 lines and not 50 others; its pid."""
    host.sandbox.sh(WRITER)
    pid = host.sandbox.sh("setsid python3 /tmp/writer.py </dev/null >/dev/null 2>&1 & echo $!").strip()
    eventually("test -e /tmp/written", host.sandbox, 10)
    return pid


def lines(host: Rig) -> tuple[int, int]:
    """Lines that were synced, and lines that were not."""
    log, more = (int(host.sandbox.sh(f"cat {DATA}/{name} 2>/dev/null | wc -l")) for name in ("log", "more"))
    return log, more


@pytest.mark.parametrize("mechanism", ["perl", "python3"])
def test_what_was_synced_stays_and_the_rest_is_gone(host: Rig, mechanism: str) -> None:
    require(mechanism)
    before = picture(host.sandbox)
    pid = write(host)
    assert lines(host) == (50, 50)
    done = host.arm(host.plan(PowerCut(mechanism=mechanism)))
    assert (done.code, done.stderr, states(done)) == (0, "", CONFIRMED), done.stdout
    assert "1 processes ended" in done.stdout
    assert not host.sandbox.script(f"kill -0 {pid}").ok
    assert lines(host) == (50, 0)
    host.sandbox.sh(f"rm -f {DATA}/log {DATA}/more /tmp/written /tmp/writer.py")
    heal(host, before)


@pytest.fixture(params=SHELLS)
def managed(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    """Two services on the volume, and one that is not."""
    require("supervisord", "supervisorctl")
    for one in ext4(request.param, tmp_path / "image"):
        names = ("trader", "left-alone", "elsewhere")
        services = {name: ServiceEntry(user="nobody", manager="supervisor") for name in names}
        one.host = msgspec.structs.replace(one.host, services=services)
        text = SUPERVISOR.replace("startsecs=0", f"startsecs=0\ndirectory={DATA}")
        more = "[program:elsewhere]\ncommand=sleep 3000\nstartsecs=0\nEND\n"
        one.sandbox.sh(text.replace("END\nmkdir", more + "mkdir"))
        eventually("pgrep -f 'sleep 1000' && pgrep -f 'sleep 2000' && pgrep -f 'sleep 3000'", one.sandbox, 10)
        yield one


def pids(host: Rig) -> list[str]:
    """Of the three services, "" for one that is down."""
    return [host.sandbox.sh(f"pgrep -f 'sleep {number}000' || :").strip() for number in (1, 2, 3)]


def test_its_services_stay_down_in_the_hold_and_start_when_it_is_over(managed: Rig) -> None:
    was = pids(managed)
    before = bite(managed, PowerCut())
    time.sleep(1)
    assert pids(managed) == ["", "", was[2]]
    heal(managed, before)
    now = pids(managed)
    assert all(now)
    assert (now[0] != was[0], now[1] != was[1], now[2]) == (True, True, was[2])


def test_the_watchdog_brings_volume_and_services_back(managed: Rig) -> None:
    before = picture(managed.sandbox)
    assert states(managed.arm(managed.plan(PowerCut(), ttl_s=12.0))) == CONFIRMED
    eventually("grep -q ' REVERTED ' /run/stormdesk/r-*/record", managed.sandbox, 40)
    assert all(pids(managed))
    assert managed.clear().ok
    same(before, managed.sandbox)


# Where the injector dies: right before or after what the ioctl's tool, `umount` and `mount` do.
TRAP = """
real=$(readlink -f "$(command -v {tool})")
cp "$real" /tmp/real-{tool}
cat >/tmp/trap <<'END'
#!/bin/sh
die() {{ [ -e /tmp/died ] || {{ : >/tmp/died; kill -KILL "-$(readlink /run/stormdesk/r-*/go | sed 's/[.].*//')"; }}; }}
[ {when} = after ] || die
/tmp/real-{tool} "$@"
code=$?
[ {when} = before ] || die
exit $code
END
chmod 755 /tmp/trap
mount --bind /tmp/trap "$real"
"""


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("tool", ["perl", "umount", "mount"])
def test_an_injector_that_dies_half_way_is_undone(managed: Rig, tool: str, when: str) -> None:
    box = managed.sandbox
    before = picture(box)
    plan = managed.plan(PowerCut(mechanism="perl"))
    box.sh(TRAP.format(tool=tool, when=when))
    done = managed.arm(plan)
    assert states(done)[-1] == "INJECTING", done.stdout
    done = managed.revert(patience_s=10)
    assert (done.code, states(done)[-1]) == (0, "REVERTED"), done.stdout
    assert all(pids(managed))
    assert managed.clear().ok
    umount = "/tmp/real-umount" if tool == "umount" else "umount"
    box.sh(f'{umount} "$(readlink -f "$(command -v {tool})")"')
    same(before, box)


def test_two_reverts_at_once_leave_it_mounted_once(managed: Rig) -> None:
    before = bite(managed, PowerCut())
    texts = [render.revert(managed.scripts, managed.run_id, who, 10) for who in ("controller", "recover")]
    for process in [managed.sandbox.start(text) for text in texts]:
        process.communicate(timeout=30)
        assert process.returncode == 0
    assert managed.clear().ok
    same(before, managed.sandbox)
    assert managed.sandbox.sh(f"grep -c ' {DATA} ' /proc/mounts") == "1\n"


REFUSED = {
    "a second mount of it": (f"mkdir /srv/b; mount --bind {DATA} /srv/b", "/srv/b is mounted from it, too"),
    "a mount in it": (f"mkdir {DATA}/in; mount -t tmpfs tmpfs {DATA}/in", f"{DATA}/in is mounted in it"),
    "another mount namespace": (
        "setsid unshare -m --propagation private sleep 1000 </dev/null >/dev/null 2>&1 &\nsleep 0.5",
        "has it mounted in a mount namespace of its own",
    ),
    "no device node": ("rm /dev/loop*", "is no block device here"),
    "an SSH server": (
        f"cp $(command -v sleep) /tmp/sshd; cd {DATA}; setsid /tmp/sshd 1000 </dev/null >/dev/null 2>&1 & sleep 0.3",
        "is an SSH server",
    ),
}


@pytest.mark.parametrize("how", REFUSED)
def test_what_would_not_come_back_is_refused(tmp_path: Path, how: str) -> None:
    command, why = REFUSED[how]
    for one in ext4("dash", tmp_path / "image"):
        one.sandbox.sh(command)
        facts = one.facts(PowerCut())
        with pytest.raises(RefusedError, match=why):
            PowerCut().plan(facts, one.site(), None)


def test_a_tmpfs_cannot_be_cut(tmp_path: Path) -> None:
    with rig("dash") as one:
        facts = one.facts(PowerCut())
        with pytest.raises(RefusedError, match="no block device"):
            PowerCut().plan(facts, one.site(), None)
