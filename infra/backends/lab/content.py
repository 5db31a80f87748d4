"""A host's files, directories and services: written, and its service manager called, by a process inside the host."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from stormdesk.infra.backends import arrival
from stormdesk.infra.backends.lab import kernel, supervised
from stormdesk.infra.backends.lab.spec import DirectorySpec, FileSpec, HostSpec, ServiceSpec

# sys_module sys_rawio sys_time sys_tty_config mknod audit_control mac_override mac_admin syslog wake_alarm
# block_suspend audit_read perfmon bpf: with these, a mistake on a host could affect the machine.
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
    """Move the calling process into the host whose pid 1 is `pid`; its children join the host's pid namespace too."""
    held = {os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY): kind for name, kind in _NAMESPACES.items()}
    for fd, kind in held.items():
        kernel.setns(fd, kind)
        os.close(fd)
    # A process inside a host must have no more privileges than the host: with the machine's root it could set the clock.
    for number in DROPPED:
        kernel.drop_capability(number)


def of(host: HostSpec, *, files: bool) -> tuple[Sequence[DirectorySpec], Sequence[FileSpec]]:
    """A host's directories, which every boot needs, and with `files` its files as well."""
    directories = [*host.directories, *(d for service in host.services for d in service.directories)]
    return directories, [*host.files, *(f for service in host.services for f in service.files)] if files else []


def put_service(service: ServiceSpec) -> None:
    """Write a service's files, then start the service, or restart an existing one with that name."""
    arrival.write_all(service.directories, service.files)
    if _by_systemd():
        _systemctl("daemon-reload")
        _systemctl("restart", service.name)
        return
    supervised.restart(service.name)


def put_files(files: Sequence[FileSpec]) -> None:
    """Write files on a running host."""
    arrival.write_all((), files)


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
    """Does systemd run this host's services? Waits for systemd to listen, as the other path does for supervisord."""
    if not os.path.exists("/etc/systemd/system/default.target"):
        return False
    supervised.wait_for(SYSTEMD)
    return True


def _systemctl(*words: str) -> None:
    done = subprocess.run(("systemctl", *words), capture_output=True, text=True, check=False, timeout=MANAGER_S)
    if done.returncode != 0:
        raise OSError(f"systemctl {' '.join(words)}: {(done.stdout + done.stderr).strip()}")
