"""Scenario S1-03: the disk of the run directory is full when a run's artefacts are written."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.stack_disk import Disk
from tests.e2e.stack_harness import ROOT
from tests.support.invoking import ROOT as PROJECT
from tests.support.invoking import environ

RUN = Path(__file__).parents[1] / "cases" / "histories" / "disk-full"
REPORTS = ("report.html", "summary.md", "scorecard.json", "evidence.log")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    disk = Disk(tmp_path, 8)
    yield disk
    disk.close()


@pytest.mark.skipif(not ROOT, reason="a disk for one process needs root")
def test_scenario_S1_03_disk_full_during_an_artefact_write(disk: Disk, tmp_path: Path) -> None:
    """One clear line, the reports before it as they were, and the run is not lost: they are written when there is room."""
    run = disk.path / "r-1"
    shutil.copytree(RUN, run)
    shutil.copytree(RUN / "cut", run / "outputs" / "cut")
    env = environ(tmp_path) | {"STORMDESK_RUNS": str(disk.mounted)}
    words = [*disk.wrap, "env", "-C", str(PROJECT), sys.executable, "-m", "invoke", "gameday.report", "--run", "r-1"]

    def report() -> subprocess.CompletedProcess[str]:
        return subprocess.run(words, env=env, capture_output=True, text=True, timeout=60, check=False)

    assert report().returncode == 0
    for name in REPORTS:
        (run / name).write_text("the one before")
    events = (run / "events.jsonl").read_bytes()
    disk.fill()
    refused = report()
    assert refused.returncode == 3, refused.stderr
    assert "the reports were not written: No space left on device" in refused.stderr
    assert "invoke gameday.report --run r-1" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert {(run / name).read_text() for name in REPORTS} == {"the one before"}
    assert sorted(p.name for p in run.iterdir()) == sorted(["cut", "events.jsonl", "outputs", "plan.json", *REPORTS])
    assert (run / "events.jsonl").read_bytes() == events
    disk.free()
    assert report().returncode == 0
    assert all((run / name).read_text() != "the one before" for name in REPORTS)
