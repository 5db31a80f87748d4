"""A host's files, directories and services, written by a process inside the host."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from stormdesk.infra.backends import arrival
from stormdesk.infra.backends.lab import kernel
from stormdesk.infra.backends.lab.spec import DirectorySpec, FileSpec, HostSpec, ServiceSpec

SUPERVISORD_S = 20.0
_NAMESPACES = {
    "mnt": kernel.CLONE_NEWNS,
    "uts": kernel.CLONE_NEWUTS,
    "ipc": kernel.CLONE_NEWIPC,
    "net": kernel.CLONE_NEWNET,
}


def enter(pid: int) -> None:
    """Move the calling process into the host of pid 1 `pid`; its own children are in the host's process list too."""
    held = {os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY): kind for name, kind in _NAMESPACES.items()}
    for fd, kind in held.items():
        kernel.setns(fd, kind)
        os.close(fd)


def of(host: HostSpec, *, files: bool) -> tuple[Sequence[DirectorySpec], Sequence[FileSpec]]:
    """A host's directories, as each start of it needs, and with `files` its files."""
    directories = [*host.directories, *(d for service in host.services for d in service.directories)]
    return directories, [*host.files, *(f for service in host.services for f in service.files)] if files else []


def put_service(service: ServiceSpec) -> None:
    """Write a service's files, and start it, or start it again when there is one of that name."""
    arrival.lay_out(service.directories, service.files)
    _wait_for_supervisord()
    # What is there must end before it is read anew: `update` sees only a changed command, not a changed configuration.
    _supervisor("stop", service.name, check=False)
    _supervisor("update", service.name)
    _supervisor("start", service.name, check=False)  # one that was new is running already


def put_files(files: Sequence[FileSpec]) -> None:
    """Write files of a host that runs."""
    arrival.lay_out((), files)


def drop_service(service: ServiceSpec) -> None:
    """Stop a service and remove its files."""
    _wait_for_supervisord()
    _supervisor("stop", service.name, check=False)
    for file in service.files:
        Path(file.path).unlink(missing_ok=True)
    _supervisor("update", service.name)


def _wait_for_supervisord() -> None:
    """A host is up a moment before its supervisord is."""
    deadline = time.monotonic() + SUPERVISORD_S
    while True:
        with socket.socket(socket.AF_UNIX) as client:
            try:
                client.connect("/run/supervisor.sock")
                return
            except OSError:
                if time.monotonic() > deadline:
                    raise
        time.sleep(0.02)


def _supervisor(*words: str, check: bool = True) -> None:
    done = subprocess.run(["supervisorctl", *words], capture_output=True, text=True, check=False, timeout=20)
    if check and done.returncode != 0:
        raise OSError(f"supervisorctl {' '.join(words)}: {(done.stdout + done.stderr).strip()}")
