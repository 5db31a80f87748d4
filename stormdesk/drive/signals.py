"""Signals. The first of SIGINT, SIGTERM, SIGHUP asks for an orderly end (revert, verify, exit 4); the second leaves at once (exit 5)."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Self

WATCHED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(KeyboardInterrupt):
    """The first signal. A KeyboardInterrupt, so that pytest and others let it through."""


class LeaveNow(KeyboardInterrupt):
    """The second signal."""


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
        if self.count >= 2:
            raise LeaveNow(signal.Signals(number).name)
        if not self._shielded:
            raise Interrupted(signal.Signals(number).name)
