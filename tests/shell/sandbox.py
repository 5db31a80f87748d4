"""A host made of namespaces only (no sshd), to run the host scripts on a real kernel, in dash and busybox ash.

Its root is an overlay: the lab's package layer, where there is one, over the machine's own root. Nothing is written to
the machine, and everything goes away with the sandbox's first process.
"""

from __future__ import annotations

import functools
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Self

import pytest

from stormdesk.core.errors import RefusedError, StormdeskError
from stormdesk.core.model import Completed
from stormdesk.infra.backends.lab import layer

MARKER = '{"environment": "sandbox", "ephemeral": true, "expires_at": ""}'
SHELLS = ("dash", "busybox")
DISK_MIB = 32
NSENTER = shutil.which("nsenter") or "nsenter"

_SET_UP = """
set -e
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs /mnt
mkdir /mnt/layer /mnt/upper /mnt/work /mnt/root
lower=/
if [ -n "$LAYER" ]; then
  # Two that look for a free loop device at once may find the same one.
  for _ in 1 2 3 4 5 6; do mount -o loop,ro,nodev "$LAYER" /mnt/layer 2>/dev/null && break || sleep 0.1; done
  lower=/mnt/layer/upper:/
fi
mount -t overlay -o "lowerdir=$lower,upperdir=/mnt/upper,workdir=/mnt/work" overlay /mnt/root
cd /mnt/root
mkdir -p var/lib/trading run tmp dev proc sys .old
for _ in 1 2 3 4 5 6; do
  mount -t "$DISK" -o "$DISK_OPTIONS" "$DISK_DEVICE" var/lib/trading 2>/dev/null && break || sleep 0.1
done
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
mount -t tmpfs -o mode=755 tmpfs dev
for node in null:3 zero:5 full:7 random:8 urandom:9; do mknod -m 666 "dev/${node%:*}" c 1 "${node#*:}"; done
ln -s /proc/self/fd dev/fd
mkdir dev/shm
mount -t tmpfs tmpfs dev/shm
pivot_root . .old
umount -l /.old
rmdir /.old
cd /
grep -q ' /var/lib/trading ' /proc/mounts
chmod 755 /var/lib/trading
printf '%s' "$MARKER" >/etc/stormdesk.target
printf '::sysinit:/etc/stormdesk/boot\\n' >/etc/inittab
[ -f /etc/resolv.conf ] || { rm -f /etc/resolv.conf; echo '# none' >/etc/resolv.conf; }
ip link set lo up
ip link add eth1 type veth peer name peer1
ip addr add 10.9.1.2/24 dev eth1
ip -6 addr add fd99::2/64 dev eth1 nodad
ip link set eth1 up
ip link set peer1 up
until [ "$(cat /sys/class/net/eth1/operstate /sys/class/net/peer1/operstate | uniq)" = up ]; do sleep 0.01; done
ip route add 10.99.0.0/16 via 10.9.1.1 dev eth1
ip -6 route add fd98::/64 via fd99::1 dev eth1
[ "$KIND" = dash ] || mount --bind "$(readlink -f "$(command -v "$KIND")")" "$(readlink -f /bin/sh)"
echo ready
exec 3<&0
# Until the test lets go of the other end, or dies. The shell takes in, as any init does, processes whose parents have died.
cat <&3 >/dev/null &
wait $! || :
exec cat <&3 >/dev/null  # a test that reboots killed the other one
"""


@functools.cache
def package_layer() -> str:
    """The lab's package layer, or "" where there is none and none can be made; it has busybox, iptables and supervisord."""
    try:
        image = layer.ensure(print)
    except RefusedError as error:
        print(error)
        return ""
    return str(image) if image.suffix == ".ext4" else ""


def require(*tools: str) -> None:
    """Skip, with the reason, where neither this machine nor the package layer has a tool."""
    if missing := [tool for tool in tools if not package_layer() and not shutil.which(tool)]:
        pytest.skip(f"no {', '.join(missing)} here and no package layer ({layer.path()}). Type: {layer.MAKE}")


class Sandbox:
    """Namespaces with a tmpfs /run, a data file system of 32 MiB, a veth, a target marker; gone when closed.

    `shell` is what /bin/sh is: dash, busybox or bash. `image`: the data file system is ext4 in this new file, else a tmpfs.
    """

    def __init__(self, shell: str = "dash", image: Path | None = None) -> None:
        if os.geteuid() != 0:
            pytest.skip("needs root: namespaces and mounts")
        if shell == "busybox":
            require("busybox")
        self.shell = shell
        self.path = "/usr/sbin:/usr/bin:/sbin:/bin"  # PATH of its scripts
        self._image = image

    def __enter__(self) -> Self:
        disk = {"DISK": "tmpfs", "DISK_OPTIONS": f"size={DISK_MIB}m", "DISK_DEVICE": "tmpfs"}
        if self._image:
            with self._image.open("wb") as file:
                file.truncate(DISK_MIB << 20)
            subprocess.run(["mkfs.ext4", "-q", "-b", "4096", "-m", "0", self._image], check=True, timeout=30)
            disk = {"DISK": "ext4", "DISK_OPTIONS": "loop,discard", "DISK_DEVICE": str(self._image)}
        variables = {"MARKER": MARKER, "LAYER": package_layer(), "KIND": self.shell, **disk}
        self._process = subprocess.Popen(
            ["unshare", "--mount", "--net", "--pid", "--uts", "--ipc", "--fork", "--kill-child", "sh", "-c", _SET_UP],
            env={**os.environ, **variables},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        if self._process.stdout.readline() != "ready\n":
            said = self._process.communicate()[1]
            raise StormdeskError(f"sandbox: {said}")
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        self.pid = int(children[0])
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate(timeout=10)

    def script(self, text: str, deadline_s: float = 20) -> Completed:
        """Run a script as an open `sh -s` would."""
        process = self.start(text)
        try:
            out, err = process.communicate(timeout=deadline_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        return Completed((), process.returncode, out.decode("utf-8", "replace"), err.decode("utf-8", "replace"))

    def start(self, text: str) -> subprocess.Popen[bytes]:
        """The same without waiting, in a session of its own, as an sshd session is."""
        process = subprocess.Popen(
            [NSENTER, "-t", str(self.pid), "-a", "sh", "-s"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            env={"PATH": self.path},
        )
        assert process.stdin is not None
        process.stdin.write(text.encode())
        process.stdin.close()
        process.stdin = None
        return process

    def sh(self, text: str) -> str:
        """Run a line and return its stdout; a failure raises."""
        done = self.script(text)
        assert done.ok, f"{text}: {done.code} {done.stderr}"
        return done.stdout


def eventually(question: str, sandbox: Sandbox, within_s: float) -> float:
    """Wait until a line of shell succeeds in the sandbox; returns the seconds it took, fails after `within_s`."""
    began = time.monotonic()
    while not sandbox.script(question).ok:
        assert time.monotonic() - began < within_s, f"not within {within_s} s: {question}"
        time.sleep(0.1)
    return time.monotonic() - began
