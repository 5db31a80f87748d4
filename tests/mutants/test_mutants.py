"""Each planted bug makes a named test fail. The table of test x mutant is printed at the end of the run."""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.mutants.patching import Mutant, copy, mutants

pytestmark = pytest.mark.lab
DEADLINE_S = 180


def failing(root: Path, tests: tuple[str, ...]) -> dict[str, str]:
    """Run tests of a copy: test -> `failed`, `passed` or `skipped`; parameters of one test count together, worst wins."""
    report = root / "report.xml"
    environ = os.environ | {
        "PYTHONPATH": str(root),
        "CI": "",
    }  # on CI a test that is skipped fails, yet has found nothing
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", *tests],
        cwd=root, env=environ, capture_output=True, text=True, timeout=DEADLINE_S, check=False,
    )  # fmt: skip
    assert report.is_file(), done.stdout + done.stderr
    found: dict[str, str] = {}
    for case in ElementTree.parse(report).iter("testcase"):  # noqa: S314 -- our own pytest wrote it
        name = case.attrib["name"].partition("[")[0]
        kinds = {child.tag for child in case}
        assert "error" not in kinds, f"{name} could not run:\n{done.stdout[-3000:]}"
        word = "failed" if "failure" in kinds else "skipped" if "skipped" in kinds else "passed"
        found[name] = min(word, found.get(name, word), key=("failed", "passed", "skipped").index)
    return found


@pytest.mark.parametrize("mutant", mutants(), ids=lambda mutant: mutant.name)
def test_a_planted_bug_is_found(mutant: Mutant, tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    copy(tmp_path)
    mutant.plant(tmp_path)
    found = failing(tmp_path, mutant.killed_by)
    for test in mutant.killed_by:
        name = test.partition("::")[2]
        words = {word for case, word in found.items() if not name or case == name}
        word = min(words, key=("failed", "passed", "skipped").index, default="not found")
        record_property("test x mutant", f"{mutant.name:<26} {word:<8} {test.rpartition('/')[2]}")
        if word == "skipped":
            pytest.skip(f"{test} cannot run here")
        assert word == "failed", f"{mutant.name} survives {test}: {mutant.says}"
