"""The venue's journal on disk: the ground truth. An event that is not in it did not happen.

A line is written to the kernel before anybody is told, so killing the venue loses nothing. The answer to an order waits until its
lines are on the disk; one fdatasync serves all waiting requests. If a line cannot be written, the venue exits at once without an
answer, because its memory is then wrong.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from stormdesk.testnet.venue import events

STRIDE = 256  # lines between two entries of the index
CHUNK = 65_536


class JournalError(SystemExit):
    """The journal cannot be written or trusted. A SystemExit, so that no request handler keeps the venue alive."""


class Journal:
    """An append-only file of events. Opening cuts off a torn tail; `lines` reads the existing events."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        self._encoder = msgspec.json.Encoder()
        self._index = [0]
        self._disk = ThreadPoolExecutor(1, "journal")
        self._syncing: asyncio.Task[None] | None = None
        self._on_disk = 0
        self.seq = 0
        self.size = 0
        self.lines = self._recover(path.read_bytes())

    def append(self, batch: Sequence[events.Line]) -> None:
        """Write events in one call. Raises JournalError; a partial write is then cut off again."""
        if not batch:
            return
        data = bytearray()
        seq, index = self.seq, []
        for event in batch:
            seq += 1
            event.seq = seq
            data += self._encoder.encode(event) + b"\n"
            if seq % STRIDE == 0:
                index.append(self.size + len(data))
        try:
            written = os.write(self._fd, data)
        except OSError as error:
            raise JournalError(f"venue: journal: {error}") from error
        if written != len(data):
            os.ftruncate(self._fd, self.size)
            raise JournalError("venue: journal: the disk is full")
        self.seq, self.size = seq, self.size + written
        self._index += index

    async def synced(self) -> None:
        """Wait until all current lines are on the disk. Raises JournalError."""
        goal = self.seq
        while self._on_disk < goal:
            self._syncing = self._syncing or asyncio.create_task(self._sync())
            await asyncio.shield(self._syncing)

    async def _sync(self) -> None:
        seq = self.seq
        try:
            await asyncio.get_running_loop().run_in_executor(self._disk, os.fdatasync, self._fd)
        except OSError as error:
            raise JournalError(f"venue: journal: {error}") from error
        self._on_disk, self._syncing = seq, None

    def since(self, seq: int) -> Iterator[bytes]:
        """The current raw lines after `seq`, in chunks."""
        if seq >= self.seq:
            return
        start, end = self._index[min(max(seq, 0) // STRIDE, len(self._index) - 1)], self.size
        skip = max(seq, 0) % STRIDE
        while start < end:
            chunk = os.pread(self._fd, min(CHUNK, end - start), start)
            start += len(chunk)
            while skip and (cut := chunk.find(b"\n") + 1):
                chunk, skip = chunk[cut:], skip - 1
            if not skip:
                yield chunk

    def close(self) -> None:
        self._disk.shutdown()
        os.close(self._fd)

    def _recover(self, data: bytes) -> list[events.Line]:
        self.size = data.rfind(b"\n") + 1
        os.ftruncate(self._fd, self.size)
        decoder = msgspec.json.Decoder(events.Line)
        lines: list[events.Line] = []
        position = 0
        for raw in data[: self.size].splitlines(keepends=True):
            lines.append(decoder.decode(raw))
            position += len(raw)
            if lines[-1].seq != len(lines):
                raise JournalError(f"venue: journal: line {len(lines)} carries seq {lines[-1].seq}")
            if len(lines) % STRIDE == 0:
                self._index.append(position)
        self.seq = len(lines)
        return lines
