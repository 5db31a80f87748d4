"""Runs the check files in this process, on connections that are open already."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from stormdesk.checks.plugin import EVIDENCE, RESULT, Evidence
from stormdesk.cut import FaultWindow, Recovery
from stormdesk.drive.asking import Run
from stormdesk.drive.testinfra_backend import pooled
from stormdesk.inventory import Inventory
from stormdesk.model import CheckResult, Verdict

FILES: Mapping[str, tuple[str, ...]] = {
    "steady": ("test_steady.py",),
    "invariants": ("test_orders.py", "test_positions.py", "test_ledger.py", "test_recovery.py"),
    "residue": ("test_residue.py",),
}
# The caller's terminal, signals and threads are its own; and which pytest.ini lies where it runs must not matter.
_QUIET = ("terminal", "cacheprovider", "faulthandler", "threadexception", "unraisableexception", "stepwise", "nagios")


class _Collector:
    """Gives the checks their evidence and keeps what they say."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
        self.results: list[CheckResult] = []

    @pytest.hookimpl(tryfirst=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        config.stash[EVIDENCE] = self.evidence

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if not report.skipped and (call.when == "call" or report.failed):
            self._keep(item, call, report)
        return report

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.results.append(CheckResult(report.nodeid, Verdict.UNKNOWN, _one_line(str(report.longrepr))))

    def _keep(self, item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport) -> None:
        result = item.stash.get(RESULT, None)
        if result is None or (report.failed and result.verdict is Verdict.HELD):
            why = _one_line(call.excinfo.exconly()) if call.excinfo else "the check ended without a verdict"
            result = CheckResult(result.id if result else item.name.removeprefix("test_"), Verdict.UNKNOWN, why)
        self.results.append(replace(result, took_s=round(report.duration, 3)))


def run_checks(
    inventory: Inventory,
    run: Run,
    what: Sequence[str],
    folder: Path,
    *,
    junit: Path | None = None,
    fault: FaultWindow | None = None,
    recovery: Recovery | None = None,
    diffs: Mapping[str, Sequence[str]] | None = None,
) -> list[CheckResult]:
    """Run `what` of steady, invariants, residue, on the hosts of `inventory`, which `run` reaches (`Pool.run`).

    `folder`, new or empty, gets the cut that the invariants judge; `junit` an XML report; `fault`, `recovery` and
    `diffs` are what a run knows besides. Nothing that a check runs into is raised: it makes that check unknown.
    """
    here = Path(__file__).parent
    hosts = pooled(inventory.hosts, run)
    evidence = Evidence(folder, inventory, run, hosts, fault=fault, recovery=recovery, diffs=diffs)
    collector = _Collector(evidence)
    arguments = ["-c", os.devnull, f"--rootdir={here}", "--import-mode=importlib", "--capture=no"]
    arguments += [word for name in _QUIET for word in ("-p", f"no:{name}")]
    if junit is not None:
        arguments += [f"--junitxml={junit}"]
    arguments += [str(here / name) for group in what for name in FILES[group]]
    with _without("PYTEST_ADDOPTS", "PYTEST_PLUGINS"):
        code = pytest.main(arguments, plugins=[collector])
    if code == pytest.ExitCode.INTERRUPTED:
        raise KeyboardInterrupt
    if not collector.results or code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        collector.results.append(
            CheckResult("checks", Verdict.UNKNOWN, f"pytest ended with {code}, not all checks ran")
        )
    return collector.results


@contextmanager
def _without(*names: str) -> Iterator[None]:
    """What a user has set for his own pytest runs is not for this one."""
    kept = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(kept)


def _one_line(text: str) -> str:
    return " ".join(text.split())[:300]
