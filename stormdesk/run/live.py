"""Writes the live page of a run while it goes on: live.html once, live.js each second.

Healing comes before book-keeping: a thread of its own does all of it, nobody waits for that thread but for a moment when the run is
over, and a disk that is full or hangs only leaves the page as it was.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from stormdesk.core.journal import Event

EVERY_S, LAST_S = 1.0, 0.5
PAGE, SCRIPT = "live.html", "live.js"


class Live:
    """`with Live(folder, said):` around a run; `said` gives all events so far, in order."""

    def __init__(self, folder: Path, said: Callable[[], Sequence[Event]]) -> None:
        from stormdesk.evidence.board import Board

        self._folder = folder
        self._said = said
        self._board = Board()
        self._taken = 0
        self._written = False
        self._closed = False
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="live", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.end()

    def end(self) -> None:
        """Write the last of it; nothing is written afterwards."""
        self._over.set()
        if self._thread.ident is not None:
            self._thread.join(LAST_S)
        self._closed = True

    def _work(self) -> None:
        over = False
        while not over:
            over = self._over.wait(EVERY_S if self._taken else 0.05)  # soon, while nothing is there yet
            with contextlib.suppress(OSError):
                self._write()

    def _write(self) -> None:
        from stormdesk.evidence import live_page

        events = self._said()
        for event in events[self._taken :]:
            self._board.take(event)
        self._taken = len(events)
        if (
            self._closed or not self._taken or not self._folder.is_dir()
        ):  # nothing is written before the record itself is
            return
        if not self._written:
            _replace(self._folder / PAGE, live_page.PAGE)
            self._written = True
        _replace(self._folder / SCRIPT, live_page.script(self._board.document(time.time())))


def _replace(path: Path, text: str) -> None:
    """Whole or not at all; not durable, as it is old a second later. Raises OSError."""
    fresh = path.with_name(f".{path.name}.new")
    try:
        fresh.write_text(text)
        fresh.rename(path)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise
