"""Threads that end with the process. Python joins those of concurrent.futures at exit, however long they take."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import ParamSpec, TypeVar

from stormdesk.ssh.signals import defer_signals

P = ParamSpec("P")
T = TypeVar("T")


class Threads:
    """A pool of a limited number of threads, started when needed."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._started = 0
        self._open = 0  # submitted and not done

    def submit(self, act: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run it in one of the threads."""
        future: Future[T] = Future()

        def job() -> None:
            try:
                future.set_result(act(*args, **kwargs))
            except BaseException as error:  # noqa: BLE001 -- whoever asks for the result gets it
                future.set_exception(error)

        with defer_signals():
            with self._lock:
                self._open += 1
                more = self._open > self._started and self._started < self._most
                self._started += more
            self._jobs.put(job)
            if more:
                threading.Thread(target=self._work, name="stormdesk", daemon=True).start()
        return future

    def shutdown(self) -> None:
        """Accept no more work: each thread ends when nothing is left to do."""
        with self._lock:
            started, self._started, self._most = self._started, 0, 0
        for _ in range(started):
            self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
            with self._lock:
                self._open -= 1
