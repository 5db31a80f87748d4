"""A lab's record, `/run/stormdesk/<name>/lab.json`, and the lock on its name."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from stormdesk.core.errors import RefusedError
from stormdesk.infra.backends.lab import processes

RUN = Path("/run/stormdesk")


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A committed lab. pid and start time (clock ticks since boot) identify its lab init; `loops` are the devices it added."""

    name: str
    pid: int
    start_time: int
    expires_at: str
    home: str
    loops: tuple[str, ...] = ()


def run_dir(name: str) -> Path:
    """The lab's directory in /run: its record, control socket and mount point."""
    return RUN / name


def write(record: Record) -> None:
    """Write the record atomically."""
    path = run_dir(record.name) / "lab.json"
    new = path.with_suffix(".new")
    new.write_bytes(msgspec.json.encode(record))
    new.rename(path)


def read(name: str) -> Record | None:
    """The record of a lab, running or not."""
    with contextlib.suppress(OSError, msgspec.DecodeError):
        return msgspec.json.decode((run_dir(name) / "lab.json").read_bytes(), type=Record)
    return None


def names() -> set[str]:
    """All labs that have left a directory in /run."""
    return {path.name for path in RUN.iterdir() if path.is_dir()} if RUN.is_dir() else set()


def running(name: str) -> int:
    """The lab init's pid, or 0. Without a usable record, /proc is searched."""
    record = read(name)
    if record is not None and processes.start_time(record.pid) == record.start_time:
        return record.pid
    return processes.labs().get(name, 0)


@contextlib.contextmanager
def locked(name: str, wait_s: float) -> Iterator[int]:
    """Lock a lab's name; RefusedError if another command still holds the lock after `wait_s`.

    Yields the descriptor: a process that inherits it holds the lock too. The last holder removes the file.
    """
    path = RUN / f"{name}.lock"
    fd = _lock(path, time.monotonic() + wait_s)
    try:
        yield fd
    finally:
        os.close(fd)
        with contextlib.suppress(RefusedError):
            fd = _lock(path, time.monotonic() + 2.0)  # a lab init releases it right after the commit
            forget_lock(name)
            os.close(fd)


def forget_lock(name: str) -> None:
    """Remove the lock file. The caller must hold the lock."""
    (RUN / f"{name}.lock").unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        RUN.rmdir()


def _lock(path: Path, deadline: float) -> int:
    while True:
        path.parent.mkdir(mode=0o755, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):  # the previous holder removes the file: open it again
            fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            if _taken(fd, path):
                return fd
            os.close(fd)
        if time.monotonic() > deadline:
            raise RefusedError(
                f"another command is at work on environment {path.stem}: type this again when it has ended"
            )
        time.sleep(0.02)


def _taken(fd: int, path: Path) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(fd), os.stat(path))
    except (BlockingIOError, FileNotFoundError):
        return False
