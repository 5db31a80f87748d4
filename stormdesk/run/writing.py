"""Disk work in a thread of its own, in order: a hanging disk must not delay a revert."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue

from stormdesk.ssh.signals import defer_signals


class Writer:
    """Does what it is given, one after the other. `act` must not raise. The thread ends with the process, whatever it does."""

    def __init__(self) -> None:
        self._jobs: SimpleQueue[tuple[Callable[[], object], threading.Event] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="record", daemon=True)
        self._thread.start()

    def do(self, act: Callable[[], object], patience_s: float) -> bool:
        """Have it done, and wait so many seconds for that; was it done by then?"""
        done = threading.Event()
        with defer_signals():
            self._jobs.put((act, done))
            return done.wait(patience_s) if patience_s else False

    def end(self) -> None:
        """No more is to come."""
        self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            act, done = job
            act()
            done.set()
