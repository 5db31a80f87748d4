"""A host's files, directories and services, written by a process inside the host; its manager is asked there, too."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from stormdesk.infra.backends import arrival
from stormdesk.infra.backends.lab import kernel, supervised
from stormdesk.infra.backends.lab.spec import DirectorySpec, FileSpec, HostSpec, ServiceSpec

# sys_module sys_rawio sys_time sys_tty_config mknod audit_control mac_override mac_admin syslog wake_alarm
# block_suspend audit_read perfmon bpf: with these a mistake on a host would reach the machine.
DROPPED = (16, 17, 25, 26, 27, 30, 32, 33, 34, 35, 36, 37, 38, 39)

MANAGER_S = 20.0
SYSTEMD = "/run/systemd/private"
_NAMESPACES = {
    "mnt": kernel.CLONE_NEWNS,
    "uts": kernel.CLONE_NEWUTS,
    "ipc": kernel.CLONE_NEWIPC,
    "net": kernel.CLONE_NEWNET,
    "pid": kernel.CLONE_NEWPID,
    "cgroup": kernel.CLONE_NEWCGROUP,
}


def enter(pid: int) -> None:
    """Move the calling process into the host of pid 1 `pid`; its own children are in the host's process list too."""
    held = {os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY): kind for name, kind in _NAMESPACES.items()}
    for fd, kind in held.items():
        kernel.setns(fd, kind)
        os.close(fd)
    # Whatever works in a host has no more rights there than the host: root's on this machine would set its clock.
    for number in DROPPED:
        kernel.drop_capability(number)


def of(host: HostSpec, *, files: bool) -> tuple[Sequence[DirectorySpec], Sequence[FileSpec]]:
    """A host's directories, as each start of it needs, and with `files` its files."""
    directories = [*host.directories, *(d for service in host.services for d in service.directories)]
    return directories, [*host.files, *(f for service in host.services for f in service.files)] if files else []


def put_service(service: ServiceSpec) -> None:
    """Write a service's files, and start it, or start it again when there is one of that name."""
    arrival.lay_out(service.directories, service.files)
    if _by_systemd():
        _systemctl("daemon-reload")
        _systemctl("restart", service.name)
        return
    supervised.again(service.name)


def put_files(files: Sequence[FileSpec]) -> None:
    """Write files of a host that runs."""
    arrival.lay_out((), files)


def drop_service(service: ServiceSpec) -> None:
    """Stop a service and remove its files."""
    if by_systemd := _by_systemd():
        _systemctl("stop", service.name)
    else:
        supervised.stop(service.name)
    for file in service.files:
        Path(file.path).unlink(missing_ok=True)
    if by_systemd:
        _systemctl("daemon-reload")
    else:
        supervised.forget(service.name)


def _by_systemd() -> bool:
    """Whether systemd runs the services of this host; it is waited for, as supervisord is."""
    if not os.path.exists("/etc/systemd/system/default.target"):
        return False
    supervised.wait_for(SYSTEMD)
    return True


def _systemctl(*words: str) -> None:
    done = subprocess.run(("systemctl", *words), capture_output=True, text=True, check=False, timeout=MANAGER_S)
    if done.returncode != 0:
        raise OSError(f"systemctl {' '.join(words)}: {(done.stdout + done.stderr).strip()}")
