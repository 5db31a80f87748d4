"""The situations of planted bugs, without a bug: every invariant holds. So violations in a bug's row are caused by the bug."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from stormdesk.core.model import CheckResult, Verdict
from stormdesk.evidence import steady
from tests.e2e.stack_harness import ROOT, Stack, eventually
from tests.mutants import table
from tests.mutants.bench import bench
from tests.mutants.patching import FOLDER, copy, mutants
from tests.mutants.patching import ROOT as SOURCES
from tests.mutants.situations import SITUATIONS, TRADERS

pytestmark = [pytest.mark.lab, pytest.mark.skipif(not ROOT, reason="disks and servers of a layer need root")]


@pytest.mark.parametrize("situation", SITUATIONS)
def test_without_a_bug_every_invariant_holds(
    shared: Stack, situation: str, record_property: Callable[[str, object], None]
) -> None:
    with bench(shared, SOURCES) as stack:
        row, said = table.judged(SITUATIONS[situation](stack))
    record_property(table.TOPIC, table.line("(no bug)", situation, row))
    assert said == []


def test_scenario_E_01_E_07_a_host_that_was_left_out_of_a_rollout_is_named(shared: Stack, tmp_path: Path) -> None:
    """Both trade, and only the code tells them apart."""
    new, old = tmp_path / "new", tmp_path / "old"
    for root in (new, old):
        root.mkdir()
        copy(root)
    mutants(FOLDER / "live")[0].plant(old)
    with bench(shared, new) as stack:
        stack.up()

        def told() -> CheckResult:
            pages = {host: json.dumps(stack.trader("health", which=host[-1])) for host in TRADERS}
            return steady.code(
                {host: steady.Vitals(host, {"health": (200, page)}) for host, page in pages.items()}, TRADERS
            )

        for root, verdict in ((old, Verdict.VIOLATED), (new, Verdict.HELD)):
            stack.root = root
            stack.start("trader-b")
            eventually("trader-b answers", lambda: stack.trader("health", which="b"))
            result = told()
            assert result.verdict is verdict, result.why
            stack.kill("trader-b")
