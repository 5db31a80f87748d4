"""The ledger on disk. The one rule: what `append` returns is on the medium, what it could not write whole is not there.

All disk work runs in one thread, in order, so that a slow fdatasync never stops the event loop.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from stormdesk.testnet.ledger import chain

log = logging.getLogger(__name__)


RETRY_S = 0.5  # between two tries to write what waits for room


class LedgerError(Exception):
    """A line could not be made durable. The message is the reason, with the path."""


class Ledger:
    """An append-only JSONL file with a hash chain.

    `clock` gives wall-clock seconds. Opening reads the file back: a torn tail is cut, bad lines are copied to
    `ledger.quarantine` beside it; `reading` is what was found. `error` is why the last write failed, or "".
    Raises LedgerError when the file cannot be opened.
    """

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        self.path = path
        self._clock = clock
        self._thread = ThreadPoolExecutor(1, "ledger")
        self._waiting: deque[dict[str, object]] = deque()
        self._noted = asyncio.Event()
        self.error = ""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
            self.reading = self._recover()
        except OSError as error:
            raise LedgerError(self._reason(error)) from error
        self._seq, self._head = self.reading.seq, self.reading.head

    @property
    def buffered(self) -> int:
        """Lines that wait for room."""
        return len(self._waiting)

    async def append(self, kind: str, client_order_id: str, **fields: object) -> None:
        """Write a line, and every line that waits before it; durable when this returns.

        Raises LedgerError with the reason; then the line is not in the file.
        """
        record = self._record(kind, client_order_id, fields)
        await asyncio.get_running_loop().run_in_executor(self._thread, self._write_after_waiting, record)

    def note(self, kind: str, client_order_id: str, **fields: object) -> None:
        """Queue a line; `keep` writes it as soon as there is room, in order."""
        self._waiting.append(self._record(kind, client_order_id, fields))
        self._noted.set()

    async def keep(self) -> None:
        """Write queued lines, for ever."""
        while True:
            await self._noted.wait()
            self._noted.clear()
            while self._waiting and not await self.flush():
                await asyncio.sleep(RETRY_S)

    async def flush(self) -> bool:
        """Try to write the lines that wait. True when none is left."""
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._write_waiting)
        except LedgerError:
            return False
        return True

    def close(self) -> None:
        """Finish what is being written and let go of the file."""
        self._thread.shutdown(wait=True)
        os.close(self._fd)

    def _record(self, kind: str, client_order_id: str, fields: dict[str, object]) -> dict[str, object]:
        return {"t": self._clock(), "kind": kind, "client_order_id": client_order_id, **fields}

    def _write_after_waiting(self, record: dict[str, object]) -> None:
        self._write_waiting()
        self._write(record)

    def _write_waiting(self) -> None:
        while self._waiting:
            self._write(self._waiting[0])
            self._waiting.popleft()

    def _write(self, record: dict[str, object]) -> None:
        line = chain.seal(record, self._seq + 1, self._head)
        data = chain.encode(line)
        try:
            self._still_in_place()
            size = os.fstat(self._fd).st_size
            self._write_whole(data, size)
        except OSError as error:
            self.error = self._reason(error)
            raise LedgerError(self.error) from error
        self.error = ""
        self._seq, self._head = line["seq"], line["h"]

    def _write_whole(self, data: bytes, size: int) -> None:
        """One write, then fdatasync; on any failure the file is as long as before."""
        try:
            if os.write(self._fd, data) != len(data):
                raise OSError(28, os.strerror(28))  # a short write on a regular file is a full disk
            os.fdatasync(self._fd)
        except OSError:
            os.ftruncate(self._fd, size)
            raise

    def _still_in_place(self) -> None:
        """A file that was moved or removed under us still takes writes; nobody would ever read them."""
        here, there = os.fstat(self._fd), self.path.stat()
        if (here.st_dev, here.st_ino) != (there.st_dev, there.st_ino):
            raise FileNotFoundError(2, "the ledger was moved away or replaced", str(self.path))

    def _reason(self, error: OSError) -> str:
        what = "disk full" if error.errno == 28 else "ledger not writable"
        return f"{what}: [Errno {error.errno}] {error.strerror}: {self.path}"

    def _recover(self) -> chain.Reading:
        reading = chain.read(self.path.read_bytes())
        if reading.torn:
            log.warning("ledger: cutting a torn tail of %d bytes at offset %d", len(reading.torn), reading.whole)
            os.ftruncate(self._fd, reading.whole)
            os.fdatasync(self._fd)
        for broken in reading.breaks:
            log.error("ledger: the chain is broken: %s", broken)
        if reading.bad:
            self._quarantine(reading.bad)
        return reading

    def _quarantine(self, bad: list[chain.Bad]) -> None:
        """Copy bad lines aside, each once. The ledger itself is evidence and stays as it is."""
        path = self.path.with_suffix(".quarantine")
        try:
            known = {msgspec.json.decode(line)["offset"] for line in path.read_bytes().splitlines()}
        except FileNotFoundError:
            known = set()
        with path.open("ab") as out:
            for line in bad:
                log.error("ledger: bad line at offset %d: %s", line.offset, line.why)
                if line.offset not in known:
                    raw = base64.b64encode(line.raw).decode()
                    out.write(msgspec.json.encode({"offset": line.offset, "why": line.why, "raw": raw}) + b"\n")
            out.flush()
            os.fdatasync(out.fileno())
