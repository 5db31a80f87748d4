"""The game days of what guards look after, as people run them: H-01, H-02, L-01 with L-02."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.test_runs import Desk

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def desk(lab: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    desk = Desk(lab, tmp_path_factory.mktemp("runs"))
    with desk.pool:
        yield desk
    assert desk.records() == {}


@pytest.mark.parametrize("runbook", ["kill-feeder", "kill-trader", "leader-loss"])
def test_the_runbook_holds(desk: Desk, runbook: str) -> None:
    done = desk.invoke("gameday.run", "--runbook", f"runbooks/{runbook}.md")
    assert [step["verdict"] for step in done["steps"]] == ["held"]
