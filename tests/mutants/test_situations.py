"""What planted bugs are put through, without one: every invariant that is asked holds. So what a bug's row shows is the bug's."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.e2e.stack_harness import ROOT, Stack
from tests.mutants import table
from tests.mutants.bench import bench, servers
from tests.mutants.patching import ROOT as SOURCES
from tests.mutants.situations import SITUATIONS

pytestmark = [pytest.mark.lab, pytest.mark.skipif(not ROOT, reason="disks and servers of a layer need root")]


@pytest.fixture(scope="module")
def shared() -> Iterator[Stack]:
    with servers() as stack:
        yield stack


@pytest.mark.parametrize("situation", SITUATIONS)
def test_without_a_bug_every_invariant_holds(
    shared: Stack, situation: str, record_property: Callable[[str, object], None]
) -> None:
    with bench(shared, SOURCES) as stack:
        row, said = table.judged(SITUATIONS[situation](stack))
    record_property(table.TOPIC, table.line("(no bug)", situation, row))
    assert said == []
