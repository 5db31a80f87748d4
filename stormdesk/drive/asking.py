"""How checks ask hosts: any callable that runs a command on a host by name within a deadline will do."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from stormdesk.drive.signals import whole
from stormdesk.errors import StormdeskError
from stormdesk.model import Argv, Completed

# Host name, argv, seconds. It raises a StormdeskError when there is no answer in time; several threads may call it.
Run = Callable[[str, Argv, float], Completed]
T = TypeVar("T")

READ_S = 15.0  # for one source of a check
MAX_THREADS = 64


def each(names: Iterable[str], act: Callable[[str], T]) -> dict[str, T | StormdeskError]:
    """`act(name)` for all names at once; an error stands in the place of its answer."""

    def one(name: str) -> T | StormdeskError:
        try:
            return act(name)
        except StormdeskError as error:
            return error

    todo = list(names)
    if len(todo) == 1:
        return {todo[0]: one(todo[0])}
    with whole(), ThreadPoolExecutor(max_workers=min(MAX_THREADS, max(1, len(todo)))) as threads:
        return dict(zip(todo, threads.map(one, todo), strict=True))
