"""An events file that several processes may append to. Every error of a call is an OSError."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from stormdesk import durable
from stormdesk.core import journal

LOCK_S = 0.5  # whoever adds to the file takes less
TAIL = 1 << 16  # bytes; the last line is in them, or all is read

BATCH = 64  # events at a time: on a full disk no more than these are tried again and again

Event = Mapping[str, Any]


class Lines:
    """The file at `path`, and the events that belong into it: `said` may be added to by any thread, the rest is for one.

    The file is looked for at each call: it may have been moved, deleted or replaced meanwhile.
    """

    def __init__(self, path: Path, said: Sequence[Event] = ()) -> None:
        self.path = path
        self.said: list[Event] = list(said)
        self._missing: list[Event] = []  # of said[: self._seen]: those that are not in the file
        self._seen = 0
        self._fd = -1
        self._known = (0, 0)  # device and inode of what we opened

    def flush(self, *, durably: bool) -> None:
        """Write what is not there yet. When it raises, no half line is left behind, or the next call cuts it off."""
        if not self._in_place():
            self._open()
        fresh = self.said[self._seen :]
        self._missing += fresh
        self._seen += len(fresh)
        with locked(self._fd):
            end, seq = self._mend()
            while some := self._missing[:BATCH]:
                data = b"".join(journal.encode({"seq": seq + n, **event}) for n, event in enumerate(some, 1))
                self._write(data, end)
                end, seq = end + len(data), seq + len(some)
                del self._missing[: len(some)]
        if durably:
            os.fsync(self._fd)

    def close(self) -> None:
        """Let go of the file."""
        # A number that somebody else has by now is not ours to close.
        with contextlib.suppress(OSError):
            if _identity(os.fstat(self._fd)) == self._known:
                os.close(self._fd)
        self._fd = -1

    def _in_place(self) -> bool:
        try:
            return self._known == _identity(os.fstat(self._fd)) == _identity(self.path.stat())
        except OSError:
            return False

    def _open(self) -> None:
        """Open the file, made anew if need be, and look what is missing in it."""
        self.close()
        durable.make_folder(self.path.parent)
        self._fd = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            durable.sync_folder(self.path.parent)
            there = {_essence(event) for event in map(journal.decode, self._read(0).split(b"\n")) if event}
            self._seen = len(self.said)
            self._missing = [event for event in self.said[: self._seen] if _essence(event) not in there]
            self._known = _identity(os.fstat(self._fd))
        except OSError:
            os.close(self._fd)
            self._fd = -1
            raise

    def _write(self, data: bytes, end: int) -> None:
        """All of it or nothing, at the end of the file."""
        try:
            durable.write_all(self._fd, data)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, end)
            raise

    def _mend(self) -> tuple[int, int]:
        """Cut off what another writer's death, or a loss of power, left of a last line. Where the file ends, and its last number."""
        size = os.fstat(self._fd).st_size
        start = max(0, size - TAIL)
        tail = self._read(start)
        if start and b"\n" not in tail.rstrip(b"\0\n"):
            start, tail = 0, self._read(0)
        keep, more = journal.mended(tail)
        if keep < len(tail):
            os.ftruncate(self._fd, start + keep)
        durable.write_all(self._fd, more)
        lines = (tail[:keep] + more).split(b"\n")
        last = journal.decode(lines[-2]) if len(lines) > 1 else None
        return start + keep + len(more), int(last["seq"]) if last else 0

    def _read(self, at: int) -> bytes:
        data = b""
        while piece := os.pread(self._fd, 1 << 20, at + len(data)):
            data += piece
        return data


@contextmanager
def locked(fd: int) -> Iterator[None]:
    """Nobody else adds to the file meanwhile. A file system that knows no locks has none to wait for."""
    until = time.monotonic() + LOCK_S
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                raise
            time.sleep(0.01)
        except OSError:
            yield
            return
        else:
            break
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            fcntl.flock(fd, fcntl.LOCK_UN)


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


def _essence(event: Event) -> bytes:
    """An event without its number."""
    return journal.encode({key: value for key, value in event.items() if key != "seq"})
