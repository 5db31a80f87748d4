"""Signals. The first SIGINT, SIGTERM or SIGHUP asks for an orderly end (revert, verify, exit 4); the second exits at once (exit 5).

A signal becomes an exception in the main thread, wherever it is. Inside threading, concurrent.futures or paramiko that could
leave a lock held and the process unable to exit. So code that works with threads runs in `defer_signals()`: a signal is then
raised at the end of the section or at a `safe_point()` in it, the second signal also at a `leave_point()`. Sections have
deadlines. Our threads end with the process (ssh/threads.py), so leaving does not wait for them.
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
    """The first signal. It is a KeyboardInterrupt so that pytest and others do not catch it."""


class LeaveNow(KeyboardInterrupt):
    """The second signal."""


class StopNow(KeyboardInterrupt):
    """No signal, but as the first one: what was watched says that a run must end in order."""


class _Sections:
    """How many sections the main thread is in, and the deferred signal."""

    depth = 0
    waiting: KeyboardInterrupt | None = None


@contextmanager
def defer_signals() -> Iterator[None]:
    """Defer signals until the end of the section. Only matters in the main thread: no other receives them."""
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
    """Raise the deferred signal, if any. Call it within `defer_signals()` where nothing is half done."""
    if _Sections.waiting is not None and threading.current_thread() is threading.main_thread():
        waiting, _Sections.waiting = _Sections.waiting, None
        raise waiting


def leave_point() -> None:
    """Raise the deferred signal if it is the second. Call it within `defer_signals()` where the main thread only waits for others."""
    if isinstance(_Sections.waiting, LeaveNow):
        safe_point()


class Signals:
    """A context in which signals become exceptions in the main thread; after `shield()` the first one is only counted."""

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
        """Hosts are being healed from now on: the first signal is only counted, the second still exits."""
        self._shielded = True

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        self.count += 1
        if self.count < 2 and self._shielded:
            return
        kind = LeaveNow if self.count >= 2 else Interrupted
        _Sections.waiting = kind(signal.Signals(number).name)
        if not _Sections.depth:
            safe_point()
