"""What a host does at boot, before its init: write its files, and wake supervisord."""

from __future__ import annotations

import contextlib
import os
import pwd
import socket
import time
from collections.abc import Iterable
from typing import NoReturn

from stormdesk.infra.backends.lab.spec import DirectorySpec, FileSpec

CONNECTIONS, WAKE_S = 8, 10.0


def write_all(directories: Iterable[DirectorySpec], files: Iterable[FileSpec]) -> None:
    """Create the directories (mode and owner of existing ones are reset), then rewrite the files."""
    for directory in directories:
        os.makedirs(directory.path, exist_ok=True)
        os.chmod(directory.path, directory.mode)
        _chown(directory.path, directory.owner)
    for file in files:
        _write(file)


def wake_supervisord() -> NoReturn:
    """Keep connecting to supervisord: it sleeps a second before it starts its first program, unless a client connects.

    Call it in a forked child: it exits the process.
    """
    os.closerange(3, 1024)
    deadline, answered = time.monotonic() + WAKE_S, 0
    while answered < CONNECTIONS and time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as client:
            client.settimeout(0.5)
            client.connect("/run/supervisor.sock")
            answered += 1
        time.sleep(0.02)
    os._exit(0)


def _write(file: FileSpec) -> None:
    os.makedirs(os.path.dirname(file.path), exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(file.path)
    if file.to:
        os.symlink(file.to, file.path)
        return
    fd = os.open(file.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, file.mode)
    with os.fdopen(fd, "w") as out:
        out.write(file.text)
    _chown(file.path, file.owner)


def _chown(path: str, owner: str) -> None:
    if owner != "root":
        account = pwd.getpwnam(owner)
        os.chown(path, account.pw_uid, account.pw_gid)
