"""State files of the gates: read at start, replaced off the event loop."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import TypeVar

import msgspec

from stormdesk import durable

log = logging.getLogger(__name__)

T = TypeVar("T", bound=msgspec.Struct)
PADDED = 1024  # bytes; a document that grows within them needs no new block on a full disk


class StateFile:
    """One document at one path. Writers take turns."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._turn = asyncio.Lock()

    def read(self, kind: type[T]) -> T | None:
        """The document, None when there is no file. Raises durable.CorruptError."""
        return durable.read_json(self.path, kind)

    async def is_missing(self) -> bool:
        return not await asyncio.to_thread(self.path.exists)

    async def write(self, document: msgspec.Struct) -> bool:
        """Write the document durably. False when the disk refuses; the old one is then still there."""
        async with self._turn:
            try:
                await asyncio.to_thread(durable.replace, self.path, msgspec.json.encode(document))
            except OSError as error:
                log.error("%s was not written: %s", self.path, error)
                return False
        return True

    async def insist(self, document: msgspec.Struct) -> bool:
        """Write a document that must not be lost on a full disk: if it cannot be replaced, the old one is overwritten in place.
        A half-written document is detected as corrupt."""
        data = msgspec.json.encode(document).ljust(PADDED)
        async with self._turn:
            try:
                await asyncio.to_thread(self._insist, data)
            except OSError as error:
                log.error("%s was not written: %s", self.path, error)
                return False
        return True

    def _insist(self, data: bytes) -> None:
        try:
            durable.replace(self.path, data)
        except OSError:
            durable.overwrite(self.path, data)
