"""Signals. The first of SIGINT, SIGTERM, SIGHUP asks for an orderly end (revert, verify, exit 4); the second leaves at once (exit 5).

A signal becomes an exception in the main thread, wherever that is. Inside threading, concurrent.futures or paramiko it
would leave a lock taken for ever, and a process that cannot end. So whoever works with threads does it in `defer_signals()`: there
a signal waits for the end of the section, or for a `safe_point()` in it; the second also for a `leave_point()`. Sections
have deadlines. Threads of ours end with the process (ssh/threads.py): who leaves waits for none.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Self

WATCHED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(KeyboardInterrupt):
    """The first signal. A KeyboardInterrupt, so that pytest and others let it through."""


class LeaveNow(KeyboardInterrupt):
    """The second signal."""


class _Sections:
    """The sections that the main thread is in, and the signal that waits for their end."""

    depth = 0
    waiting: KeyboardInterrupt | None = None


@contextmanager
def defer_signals() -> Iterator[None]:
    """A section that no signal cuts in two. Of the main thread: no other gets signals."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _Sections.depth += 1
    try:
        yield
    finally:
        _Sections.depth -= 1
        if not _Sections.depth:
            safe_point()


def safe_point() -> None:
    """Where nothing is half done, within `defer_signals()`: raise the signal that came meanwhile, if one did."""
    if _Sections.waiting is not None and threading.current_thread() is threading.main_thread():
        waiting, _Sections.waiting = _Sections.waiting, None
        raise waiting


def leave_point() -> None:
    """Where the main thread only waits for others, within `defer_signals()`: raise a second signal. The first waits with it."""
    if isinstance(_Sections.waiting, LeaveNow):
        safe_point()


class Signals:
    """While it is entered, signals become exceptions in the main thread; `shield()` makes the first one wait."""

    def __init__(self) -> None:
        self.count = 0
        self._shielded = False
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._handle) for number in WATCHED}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def shield(self) -> None:
        """From here on the host is being healed: the first signal is only counted, the second still leaves."""
        self._shielded = True

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        self.count += 1
        if self.count < 2 and self._shielded:
            return
        kind = LeaveNow if self.count >= 2 else Interrupted
        _Sections.waiting = kind(signal.Signals(number).name)
        if not _Sections.depth:
            safe_point()
