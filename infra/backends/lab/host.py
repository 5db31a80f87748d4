"""The set-up of one host, from the lab init's fork to the exec of the host's own init.

Runs as pid 1 of the host's pid namespace. The lab init holds what must survive a reboot (the upper layer of `/`, the
volume's image); everything else is created at each boot, as on any host.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import stat
import subprocess
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from stormdesk.infra.backends import arrival
from stormdesk.infra.backends.lab import cgroup, content, kernel, network, volume
from stormdesk.infra.backends.lab.files import PATH, SUPERVISORD_CONF
from stormdesk.infra.backends.lab.spec import HostSpec, LabSpec
from stormdesk.infra.topology import Init

RESTRICTED = kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC
ROOT_MIB, RUN_MIB, TMP_MIB, SHM_MIB = 256, 32, 64, 64
DEVICES = {"null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "urandom": (1, 9), "tty": (5, 0)}
MASKED_FILES = ("sysrq-trigger", "kcore", "kmsg", "kallsyms", "timer_list")
MASKED_DIRECTORIES = ("bus", "fs", "irq", "acpi", "scsi")
SYSTEMD_ENVIRONMENT = {"container": "lxc", "TERM": "linux", "PATH": PATH}  # makes systemd follow its container rules
SYSTEMD = ("/sbin/init", "systemd.show_status=0")  # in a container argv replaces the kernel command line


def boot(lab: LabSpec, host: HostSpec, number: int, channel: socket.socket, *, fresh: bool) -> NoReturn:
    """Become the host: boot number `number`. `fresh`: its files have yet to be written.

    Sends "mounted <loop device>" to the lab init, waits for "go", sends "up", execs init. On failure: "error <text>".
    """
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.umask(0o022)
        cgroup.enter(lab.name, host.name)
        kernel.unshare(
            kernel.CLONE_NEWNS
            | kernel.CLONE_NEWUTS
            | kernel.CLONE_NEWIPC
            | kernel.CLONE_NEWNET
            | kernel.CLONE_NEWCGROUP
        )
        root = f"{lab.mounts}/root"
        _root(lab, host, number, root)
        _dev(root)
        _proc(root, f"{lab.mounts}/hosts/{host.name}/boot_id")
        if host.init is Init.SYSTEMD:
            _for_systemd(root)
        else:
            _groups(root)
        device = _volume(lab, host, root)
        for path in lab.binds:
            os.makedirs(root + path, exist_ok=True)
            kernel.bind(path, root + path, read_only=True)
        channel.sendall(f"mounted {device}\n".encode())
        if channel.recv(16) != b"go\n":
            os._exit(1)
        _ip(network.inside(host))
        socket.sethostname(host.name)
        kernel.pivot_root(root)
        arrival.write_all(*content.of(host, files=fresh))
        channel.sendall(b"up\n")
        _become_init(host.init)
    except BaseException as error:  # noqa: BLE001  a forked child must never return into the lab init's code
        what = error.stderr.decode(errors="replace") if isinstance(error, subprocess.CalledProcessError) else ""
        with contextlib.suppress(OSError):
            channel.sendall(f"error {type(error).__name__}: {error} {what}".replace("\n", " ").encode() + b"\n")
        os._exit(1)


def _root(lab: LabSpec, host: HostSpec, number: int, root: str) -> None:
    held = f"{lab.mounts}/hosts/{host.name}"
    work = f"{held}/work.{number}"  # the previous boot's may be in use for a moment
    os.mkdir(work)
    lower = f"{lab.mounts}/template:{lab.mounts}/layer/upper:/"
    kernel.mount("overlay", root, "overlay", kernel.MS_NODEV, f"lowerdir={lower},upperdir={held}/upper,workdir={work}")
    for name, size_mib, mode in (("run", RUN_MIB, "755"), ("tmp", TMP_MIB, "1777")):
        kernel.mount(
            "tmpfs", f"{root}/{name}", "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, f"size={size_mib}m,mode={mode}"
        )


def _proc(root: str, boot_id: str) -> None:
    """Private /proc and read-only /sys. Below /proc/sys only the host's own network settings are writable."""
    kernel.mount("sysfs", f"{root}/sys", "sysfs", RESTRICTED | kernel.MS_RDONLY)
    proc = f"{root}/proc"
    kernel.mount("proc", proc, "proc", RESTRICTED)
    kernel.bind(f"{proc}/sys", f"{proc}/sys")
    kernel.bind(f"{proc}/sys/net", f"{proc}/sys/net")
    kernel.mount("", f"{proc}/sys", flags=kernel.MS_BIND | kernel.MS_REMOUNT | kernel.MS_RDONLY | RESTRICTED)
    Path(boot_id).unlink(missing_ok=True)  # never overwritten in place: the previous boot may still have it mounted
    Path(boot_id).write_text(f"{uuid.uuid4()}\n")
    kernel.bind(boot_id, f"{proc}/sys/kernel/random/boot_id", read_only=True)
    for name in MASKED_FILES:
        if os.path.exists(f"{proc}/{name}"):
            kernel.bind(f"{root}/dev/null", f"{proc}/{name}")
    for name in MASKED_DIRECTORIES:
        if os.path.isdir(f"{proc}/{name}"):
            kernel.mount("tmpfs", f"{proc}/{name}", "tmpfs", RESTRICTED | kernel.MS_RDONLY, "size=4k,mode=555")


def _dev(root: str) -> None:
    dev = f"{root}/dev"
    kernel.mount("tmpfs", dev, "tmpfs", kernel.MS_NOSUID, "size=64k,mode=755")
    old = os.umask(0)
    for name, numbers in DEVICES.items():
        os.mknod(f"{dev}/{name}", stat.S_IFCHR | 0o666, os.makedev(*numbers))
    os.umask(old)
    for name, target in {"fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"}.items():
        os.symlink(target, f"{dev}/{name}")
    os.symlink("pts/ptmx", f"{dev}/ptmx")
    os.mkdir(f"{dev}/pts")
    kernel.mount("devpts", f"{dev}/pts", "devpts", kernel.MS_NOSUID, "newinstance,ptmxmode=0666,mode=620,gid=5")
    os.mkdir(f"{dev}/shm")
    kernel.mount("tmpfs", f"{dev}/shm", "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, f"size={SHM_MIB}m,mode=1777")


def _groups(root: str) -> None:
    """Its own part of the control groups of version 1, where this machine has them, but not those that limit the host."""
    if not (hierarchies := cgroup.shown()):
        return
    top = f"{root}/sys/fs/cgroup"
    kernel.mount("tmpfs", top, "tmpfs", RESTRICTED, "size=4k,mode=755")
    for name, controllers in hierarchies.items():
        os.mkdir(f"{top}/{name}")
        kernel.mount("cgroup", f"{top}/{name}", "cgroup", RESTRICTED, controllers)


def _for_systemd(root: str) -> None:
    """Mount the host's part of the cgroup tree, and a console, which nobody reads: the journal has everything."""
    kernel.mount("cgroup2", f"{root}/sys/fs/cgroup", "cgroup2", RESTRICTED)
    os.symlink("null", f"{root}/dev/console")


def _volume(lab: LabSpec, host: HostSpec, root: str) -> str:
    """Mount the host's volume. Returns its loop device, or "". The host gets a device node for it, as for any disk."""
    if host.volume is None:
        return ""
    target = root + host.volume.path
    os.makedirs(target, exist_ok=True)
    if host.volume.image:
        if not os.path.exists(host.volume.image):
            volume.create(host.volume.image, host.volume.size_mib)
        # After a reboot the old mount releases the image shortly after the last process; two mounts would share state.
        if not volume.wait_released(host.volume.image, 5.0):
            raise TimeoutError(f"{host.volume.image} is still mounted by the previous boot")
        volume.mount(host.volume.image, target)
        device = os.stat(target).st_dev
        node = f"/dev/loop{os.minor(device)}"
        os.mknod(root + node, stat.S_IFBLK | 0o600, device)
        return node
    kernel.bind(f"{lab.mounts}/hosts/{host.name}/volume", target)
    return ""


def _ip(lines: Sequence[str]) -> None:
    text = "\n".join(lines) + "\n"
    subprocess.run(["ip", "-batch", "-"], input=text.encode(), check=True, capture_output=True, timeout=10)


def _become_init(init: Init) -> NoReturn:
    """Drop the capabilities that a host must not have, then exec its init. The bounding set limits the host's root."""
    if init is Init.BUSYBOX and os.path.exists(SUPERVISORD_CONF) and os.fork() == 0:
        arrival.wake_supervisord()
    for number in content.DROPPED:
        kernel.drop_capability(number)
    null = os.open("/dev/null", os.O_RDONLY)
    log = os.open("/var/log/init.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
    for source, target in ((null, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    os.closerange(3, 1024)
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    os.setsid()
    if init is Init.SYSTEMD:
        os.execve("/lib/systemd/systemd", SYSTEMD, SYSTEMD_ENVIRONMENT)  # noqa: S606  this is the host's init
    environment = {"PATH": PATH, "HOME": "/root", "LANG": "C.UTF-8", "TERM": "linux"}
    os.execve("/bin/busybox", ["init"], environment)  # noqa: S606  this is the host's init
