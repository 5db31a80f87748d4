"""How checks ask hosts: any callable that runs a command on a host by name within a deadline will do."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import wait
from typing import TypeVar

from stormdesk.core.errors import StormdeskError
from stormdesk.core.model import Argv, Completed
from stormdesk.ssh.signals import defer_signals, leave_point, safe_point
from stormdesk.ssh.threads import Threads

# Host name, argv, seconds. It raises a StormdeskError when there is no answer in time; several threads may call it.
Run = Callable[[str, Argv, float], Completed]
T = TypeVar("T")

READ_S = 15.0  # for one source of a check
MAX_THREADS = 64
LOOK_S = 0.1  # how often the main thread looks for a second signal


def each(names: Iterable[str], act: Callable[[str], T]) -> dict[str, T | StormdeskError]:
    """`act(name)` for all names at once; an error stands in the place of its answer.

    A first signal is raised when all of several are done; a second leaves at once, and them to themselves.
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
        while wait(asked.values(), LOOK_S).not_done:
            look()
        return {name: answer.result() for name, answer in asked.items()}
