"""Parallel queries of hosts by checks: with any callable that runs a command on a host, by name, within a deadline."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from concurrent.futures import Future, wait
from typing import TypeVar

from stormdesk.core.errors import StormdeskError
from stormdesk.core.model import Argv, Completed
from stormdesk.ssh.signals import defer_signals, leave_point, safe_point
from stormdesk.ssh.threads import Threads

# Host name, argv, seconds. It raises a StormdeskError when there is no answer in time, and must be thread-safe.
Run = Callable[[str, Argv, float], Completed]
T = TypeVar("T")

READ_S = 15.0  # for one source of a check
MAX_THREADS = 64
LOOK_S = 0.1  # how often the main thread checks for a second signal


def watch(asked: Collection[Future[T]], look: Callable[[], None]) -> None:
    """Wait until all are done, and look for signals meanwhile. Call it within `defer_signals()`."""
    while wait(asked, LOOK_S).not_done:
        look()


def each(names: Iterable[str], act: Callable[[str], T]) -> dict[str, T | StormdeskError]:
    """The results of `act(name)` for all names, run in parallel; an error takes the place of a result.

    The first signal is raised when all are done; the second one at once, and the threads are abandoned.
    """

    def one(name: str) -> T | StormdeskError:
        try:
            return act(name)
        except StormdeskError as error:
            return error

    todo = list(names)
    look = leave_point if len(todo) > 1 else safe_point
    threads = Threads(min(MAX_THREADS, max(1, len(todo))))
    with defer_signals():
        asked = {name: threads.submit(one, name) for name in todo}
        threads.shutdown()
        watch(asked.values(), look)
        return {name: answer.result() for name, answer in asked.items()}
