"""How `pytest -n 4 --dist loadfile` distributes the tests: which stay together, and which start first.

The tests of a file stay together, because they share a lab or a stack. Tests of the files in ALONE share next to nothing, so each
goes to the worker that is free. What takes longest begins first, so that no worker is left with a long file at the end.

The first worker begins with the tests that need no lab, the others with those that do: a lab and the commands of its tests keep two
thirds of a processor busy, tests without one mostly wait. Four labs at once on two processors make hosts too slow for the times that
tests demand of them. The two parts take the first worker, and the others, about as long.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

SECONDS: dict[str, float] = json.loads(Path(__file__).with_name("seconds.json").read_text())
ALONE = (
    "tests/e2e/test_skips.py", "tests/mutants/test_mutants.py", "tests/mutants/test_planted_bugs.py", "tests/mutants/test_situations.py",
)  # fmt: skip
LABS = ("tests/crash/", "tests/docker/", "tests/e2e/", "tests/mutants/", "tests/soak/")
FIRST_WORKER = "gw0"
UNKNOWN_S = 10.0  # of a file that is not listed, for one that boots something


def scope(nodeid: str) -> str:
    """The tests with the same scope go to one worker, in the order of their file."""
    file = nodeid.partition("::")[0]
    return nodeid if file in ALONE else file


def expected_s(scope: str) -> float:
    """About how long a scope takes on a quiet machine."""
    file = scope.partition("::")[0]
    return (
        SECONDS[scope] if scope in SECONDS else SECONDS.get(file, 1.0 if file.startswith("tests/unit/") else UNKNOWN_S)
    )


def next_of(scopes: Iterable[str], worker: str) -> str:
    """What a worker gets next: the longest of its kind, and when there is none left, the longest."""
    return max(scopes, key=lambda scope: (scope.startswith(LABS) != (worker == FIRST_WORKER), expected_s(scope)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """In place of xdist's own --dist loadfile, which begins with the files that have the most tests."""
    if config.getoption("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadScopeScheduling

    class Spread(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return scope(nodeid)

        def _assign_work_unit(self, node: Any) -> None:
            self.workqueue.move_to_end(next_of(self.workqueue, node.gateway.id), last=False)
            super()._assign_work_unit(node)

    return Spread(config, log)
