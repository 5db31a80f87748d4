"""The ledger on disk. The one rule: when `append` returns, the line is on the medium; when it raises, it is not in the file.

All disk work runs in one thread, in order, so that a slow fdatasync never blocks the event loop.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from stormdesk import durable
from stormdesk.testnet.ledger import chain, quarantine

log = logging.getLogger(__name__)

T = TypeVar("T")
RETRY_S = 0.5  # between retries of lines that wait for room


class LedgerError(Exception):
    """A line could not be made durable. The message is the reason, with the path."""


class Ledger:
    """An append-only JSONL file with a hash chain.

    `clock` gives wall-clock seconds. Opening reads the file back: a torn tail is cut, bad lines are copied to
    `ledger.quarantine` beside it. A file that goes missing may be moved back within `restore_s`; after that it is restored
    from the open one. `corrupt` and `later` count bad lines and lines of later versions, as of the last read, `worst` the bad lines of
    the read that found most; `error` is why the last write failed, or "". Raises LedgerError when the file cannot be opened.
    """

    def __init__(self, path: Path, clock: Callable[[], float], restore_s: float) -> None:
        self.path = path
        self.corrupt = 0
        self.worst = 0
        self.later = 0
        self.error = ""
        self._clock = clock
        self._restore_s = restore_s
        self._thread = ThreadPoolExecutor(1, "ledger")
        self._waiting: deque[dict[str, object]] = deque()
        self._noted = asyncio.Event()
        self._missing_since: float | None = None
        self._end, self._seq, self._head = 0, 0, chain.GENESIS  # of the chain
        self._uncut = False  # a line whose write failed may still be in the file, after `_end`
        try:
            durable.make_folder(path.parent)
            self._fd = self._open()
        except OSError as error:
            raise LedgerError(self._reason(error)) from error
        try:
            self._read_back()
        except OSError as error:
            os.close(self._fd)
            raise LedgerError(self._reason(error)) from error

    @property
    def buffered(self) -> int:
        """The number of lines that wait for room."""
        return len(self._waiting)

    async def append(self, kind: str, client_order_id: str, **fields: object) -> None:
        """Write the waiting lines, then this one; durable when this returns.

        Raises LedgerError with the reason; then the line is not in the file.
        """
        record = self._record(kind, client_order_id, fields)
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._write_after_waiting, record)
        except LedgerError:
            self._noted.set()  # `keep` checks whether the file must be restored
            raise

    def note(self, kind: str, client_order_id: str, **fields: object) -> None:
        """Queue a line; `keep` writes it as soon as there is room, in order."""
        self._waiting.append(self._record(kind, client_order_id, fields))
        self._noted.set()

    async def keep(self) -> None:
        """Write queued lines and restore a missing file, until cancelled."""
        while True:
            await self._noted.wait()
            self._noted.clear()
            while (self._waiting or self._missing_since is not None) and not await self.flush():
                await asyncio.sleep(RETRY_S)

    async def flush(self) -> bool:
        """Try to write the waiting lines. True when none is left and the file is in its place."""
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._catch_up)
        except LedgerError:
            return False
        return True

    async def fold(self, work: Callable[[Iterator[chain.Record]], T]) -> T:
        """The result of `work` on the good lines, in order, off the event loop. Raises LedgerError."""
        run = asyncio.get_running_loop().run_in_executor
        try:
            return await run(self._thread, lambda: work(self._lines(chain.Reading())))
        except OSError as error:
            raise LedgerError(self._reason(error)) from error

    def close(self) -> None:
        """Finish pending writes and close the file."""
        self._thread.shutdown(wait=True)
        os.close(self._fd)

    def _record(self, kind: str, client_order_id: str, fields: dict[str, object]) -> dict[str, object]:
        return {"t": self._clock(), "kind": kind, "client_order_id": client_order_id, **fields}

    # -- in the ledger's thread ----------------------------------------------------------------------------------

    def _write_after_waiting(self, record: dict[str, object]) -> None:
        self._write_waiting()
        self._write(record)

    def _catch_up(self) -> None:
        if self._missing_since is not None:
            self._guarded(self._in_place)
        self._write_waiting()

    def _write_waiting(self) -> None:
        while self._waiting:
            self._write(self._waiting[0])
            self._waiting.popleft()

    def _write(self, record: dict[str, object]) -> None:
        def work() -> None:
            self._in_place()
            line = chain.seal(record, self._seq + 1, self._head)
            self._write_whole(chain.encode(line))
            self._seq, self._head = line["seq"], line["h"]

        self._guarded(work)

    def _guarded(self, work: Callable[[], None]) -> None:
        """Run it; a failure is stored in `error`, logged once and raised as LedgerError."""
        try:
            work()
        except OSError as error:
            reason = self._reason(error)
            if reason != self.error:
                log.error("ledger: refusing lines: %s", reason)
            self.error = reason
            raise LedgerError(reason) from error
        self.error = ""

    def _write_whole(self, data: bytes) -> None:
        """One write, then fdatasync; on any failure the file is as long as before."""
        try:
            self._uncut = True
            if os.write(self._fd, data) != len(data):
                raise OSError(28, os.strerror(28))  # a short write to a regular file means a full disk
            os.fdatasync(self._fd)
        except OSError:
            self._cut()
            raise
        self._end += len(data)
        self._uncut = False

    def _cut(self) -> None:
        """Cut a failed line off the end. Until that works, nothing is written."""
        os.ftruncate(self._fd, self._end)
        self._uncut = False

    def _in_place(self) -> None:
        """A file that was moved or removed still accepts writes that nobody would read. A file that somebody else wrote into is
        read again first, so that our line follows its real content."""
        try:
            there = self.path.stat()
        except (FileNotFoundError, NotADirectoryError):
            self._make_again()
            there = self.path.stat()
        here = os.fstat(self._fd)
        if (here.st_dev, here.st_ino) != (there.st_dev, there.st_ino):
            self._take_twin()
        self._missing_since = None
        size = os.fstat(self._fd).st_size
        if self._uncut:
            self._cut()
        elif size != self._end:
            log.error("ledger: changed by somebody else: %d bytes, %d were written", size, self._end)
            self._read_back()

    def _make_again(self) -> None:
        """Raise while the file may still be moved back. After that, restore it from the open file, on the same file system
        only: if that is not mounted, there is no place for a ledger."""
        now = time.monotonic()
        self._missing_since = now if self._missing_since is None else self._missing_since
        if now - self._missing_since < self._restore_s:
            raise FileNotFoundError(2, "the ledger was moved away or removed", str(self.path))
        above = next(folder for folder in self.path.parents if folder.is_dir())
        if above.stat().st_dev != os.fstat(self._fd).st_dev:
            raise FileNotFoundError(2, "the file system of the ledger is not mounted", str(self.path))
        durable.make_folder(self.path.parent)
        durable.replace(self.path, self._content(self._fd))
        log.error("ledger: it was gone; made again with all its %d bytes", self._end)

    def _take_twin(self) -> None:
        """Continue in another file with exactly the same content. Raises for any other."""
        fd = self._open()
        if os.fstat(fd).st_size != self._end or self._content(fd) != self._content(self._fd):
            os.close(fd)
            raise FileNotFoundError(2, "the ledger was replaced by another file", str(self.path))
        os.close(self._fd)
        self._fd = fd
        self._read_back()

    def _content(self, fd: int) -> bytes:
        data = os.pread(fd, self._end, 0)
        if len(data) != self._end:
            raise OSError(5, "the ledger cannot be read back", str(self.path))
        return data

    def _open(self) -> int:
        """Open the file, create it durably if it is missing, and lock it: two writers would break the chain. The kernel releases
        the lock of a dead process."""
        fd = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            durable.sync_folder(self.path.parent)
        except OSError:
            os.close(fd)
            raise
        return fd

    def _reason(self, error: OSError) -> str:
        what = "disk full" if error.errno == 28 else "ledger not writable"
        return f"{what}: [Errno {error.errno}] {error.strerror}: {self.path}"

    def _lines(self, reading: chain.Reading) -> Iterator[chain.Record]:
        """The good lines, read from the start."""
        with open(self._fd, "rb", closefd=False) as lines:
            lines.seek(0)
            yield from chain.follow(lines, reading)

    def _read_back(self) -> None:
        """Find the end of the chain, cut a torn tail, quarantine bad lines."""
        reading = chain.Reading()
        for _ in self._lines(reading):
            pass
        if reading.torn:
            log.warning("ledger: cutting a torn tail of %d bytes at offset %d", len(reading.torn), reading.whole)
            os.ftruncate(self._fd, reading.whole)
            os.fdatasync(self._fd)
        for broken in reading.breaks:
            log.error("ledger: the chain is broken: %s", broken)
        if reading.later:
            log.warning("ledger: %d lines of a later version are kept as they are", reading.later)
        if reading.bad:
            quarantine.put_aside(self.path.with_suffix(".quarantine"), reading.bad)
        self.corrupt, self.later = len(reading.bad), reading.later
        self.worst = max(self.worst, self.corrupt)
        self._end, self._seq, self._head = reading.whole, reading.seq, reading.head
