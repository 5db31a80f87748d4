"""The check files on a recorded cut with plain pytest, as users run them offline."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).parents[2]
CUT = ROOT / "tests" / "cases" / "histories" / "disk-full" / "cut"


@pytest.fixture
def cut(tmp_path: Path) -> Path:
    return Path(shutil.copytree(CUT, tmp_path / "cut"))


def checks(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--tb=short", *map(str, words)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def verdicts(junit: Path) -> dict[str, tuple[str, str]]:
    """By test id: the verdict's property, and how pytest says that the test ended."""
    found = {}
    for case in ElementTree.parse(junit).iter("testcase"):  # noqa: S314  our own file
        properties = {p.get("name"): p.get("value") for p in case.iter("property")}
        end = next((child.get("message", "") for child in case if child.tag in ("failure", "error")), "passed")
        found[str(case.get("name"))] = (properties.get("verdict") or "", end)
    return found


def test_a_recorded_cut_is_judged_offline(cut: Path, tmp_path: Path) -> None:
    done = checks("checks/", "--cut", cut, f"--junitxml={tmp_path}/junit.xml", "-rs")
    assert done.returncode == 0, done.stdout
    assert "11 passed, 18 skipped" in done.stdout
    found = verdicts(tmp_path / "junit.xml")
    assert {v for v, _ in found.values()} == {"held", ""}
    assert found["test_positions_are_exact"] == ("held", "passed")
    assert "test_services[recorded]" in found


def test_violated_and_unknown_are_failures_of_different_kinds(cut: Path, tmp_path: Path) -> None:
    (cut / "fills.jsonl").unlink()
    ledger = cut / "ledger-trader-a.jsonl"
    ledger.write_bytes(ledger.read_bytes().replace(b'"BUY"', b'"SELL"', 1))
    done = checks("checks/", "--cut", cut, f"--junitxml={tmp_path}/junit.xml")
    found = verdicts(tmp_path / "junit.xml")
    assert done.returncode == 1
    assert found["test_positions_are_exact"][0] == "unknown"
    assert "UnknownVerdict: fills.jsonl is missing" in found["test_positions_are_exact"][1]
    assert found["test_the_ledger_chain_is_unbroken"][0] == "violated"
    assert found["test_the_ledger_chain_is_unbroken"][1].startswith("AssertionError: trader-a: line ")


def test_without_a_fault_its_checks_are_left_out(cut: Path) -> None:
    meta = json.loads((cut / "meta.json").read_text()) | {"fault": None, "recovery": None}
    (cut / "meta.json").write_text(json.dumps(meta))
    done = checks("checks/", "--cut", cut, "-m", "not steady_state", "-rs")
    assert done.returncode == 0
    assert "9 passed, 11 skipped" in done.stdout
    assert "I-09: this cut has nothing that it is about" in done.stdout


def test_an_empty_folder_passes_nothing(tmp_path: Path) -> None:
    done = checks("checks/", "--cut", tmp_path, "-m", "not steady_state")
    assert done.returncode == 1
    assert "passed" not in done.stdout.splitlines()[-1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "checks need evidence: --cut FOLDER"),
        (("--inventory", "nowhere.json"), "nowhere.json: No such file or directory"),
        (("--inventory", "pyproject.toml"), "pyproject.toml: not an inventory"),
        (("--hosts=ssh://a", "--ssh-config=nowhere/ssh_config"), "nowhere/inventory.json: No such file"),
    ],
)
def test_without_evidence_one_line_says_what_to_type(words: tuple[str, ...], said: str) -> None:
    done = checks("checks/", *words)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert said in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_a_check_that_judges_nothing_is_unknown(tmp_path: Path) -> None:
    (tmp_path / "test_nothing.py").write_text("def test_nothing(evidence):\n    assert evidence\n")
    done = checks(tmp_path, "-c", "/dev/null", "-p", "stormdesk.checks.plugin", "--cut", CUT)
    assert done.returncode == 1
    assert "UnknownVerdict: the check ended without a verdict" in done.stdout
