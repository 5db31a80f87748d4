"""Runs check files by pytest in this process, on connections that are open already."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from stormdesk.checks.plugin import EVIDENCE, RESULT, is_own
from stormdesk.core.inventory import Inventory
from stormdesk.core.model import CheckResult, Verdict
from stormdesk.evidence.gathered import Evidence, in_one_line
from stormdesk.evidence.judging_run import CHECKS, NO_CHECK
from stormdesk.evidence.take_cut import NO_RUN, RunFacts
from stormdesk.run import settings
from stormdesk.ssh.parallel import Run
from stormdesk.ssh.testinfra_backend import pooled

FILES: Mapping[str, tuple[str, ...]] = {group: tuple(f"{name}.py" for name in files) for group, files in CHECKS.items()}
# The caller's terminal, signals and threads are its own; and which pytest.ini lies where it runs must not matter.
_QUIET = ("terminal", "cacheprovider", "faulthandler", "threadexception", "unraisableexception", "stepwise", "nagios")


class _Collector:
    """Gives the checks their evidence and keeps their results."""

    def __init__(self, evidence: Evidence, what: Sequence[str]) -> None:
        self.evidence = evidence
        self.what = what
        self.results: list[CheckResult] = []
        self.interrupt: BaseException = KeyboardInterrupt()

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """pytest ends normally, but loses which signal it was."""
        self.interrupt = excinfo.value

    @pytest.hookimpl(tryfirst=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        config.stash[EVIDENCE] = self.evidence

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Keep only those of a project's own checks that were asked for, by their markers."""
        items[:] = [item for item in items if not is_own(item) or _group(item) in self.what]

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
            said = str(report.longrepr)
            errors = [line[1:] for line in said.splitlines() if line.startswith("E ")]  # the rest is a traceback
            self.results.append(CheckResult(report.nodeid, Verdict.UNKNOWN, in_one_line("".join(errors) or said)))

    def _keep(self, item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport) -> None:
        result = item.stash.get(RESULT, None)
        if result is None and is_own(item):
            result = _own_result(item, call)
        elif result is None or (report.failed and result.verdict is Verdict.HELD):
            why = in_one_line(call.excinfo.exconly()) if call.excinfo else "the check ended without a verdict"
            result = CheckResult(result.id if result else item.name.removeprefix("test_"), Verdict.UNKNOWN, why)
        self.results.append(replace(result, took_s=round(report.duration, 3)))


def run_checks(
    inventory: Inventory,
    run: Run,
    what: Sequence[str],
    folder: Path,
    *,
    own: Sequence[Path] | None = None,
    junit: Path | None = None,
    facts: RunFacts = NO_RUN,
) -> list[CheckResult]:
    """Run `what` of steady, invariants, residue, on the hosts of `inventory`, which `run` reaches (`Pool.run`).

    `own` are folders with more checks (default: those named in the project's invoke.yaml). `folder`, new or empty, gets
    the cut that the invariants judge; `junit` an XML report; `facts` is what only the run knows.
    Errors inside a check are not raised: they make that check unknown.
    """
    own = settings.load().checks if own is None else own
    evidence = Evidence(folder, inventory, run, pooled(inventory.hosts, run), facts=facts, own=own)
    files = [Path(__file__).parent / name for group in what for name in FILES[group]]
    return session(evidence, what, [*files, *own], junit) or [CheckResult("checks", Verdict.UNKNOWN, NO_CHECK)]


def session(evidence: Evidence, what: Sequence[str], paths: Iterable[Path], junit: Path | None) -> list[CheckResult]:
    """A pytest session of its own: the check files of `paths`, and of a project's own those of `what`. `junit` gets its report."""
    collector = _Collector(evidence, what)
    arguments = ["-c", os.devnull, f"--rootdir={Path(__file__).parent}", "--import-mode=importlib", "--capture=no"]
    arguments.append("--continue-on-collection-errors")  # else pytest takes one for an interrupt
    arguments += [word for name in _QUIET for word in ("-p", f"no:{name}")]
    if junit is not None:
        arguments += [f"--junitxml={junit}"]
    arguments += ["-p", "stormdesk.checks.plugin", *map(str, paths)]
    with _without("PYTEST_ADDOPTS", "PYTEST_PLUGINS"):
        code = pytest.main(arguments, plugins=[collector])
    if code == pytest.ExitCode.INTERRUPTED:
        raise collector.interrupt
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED):
        collector.results.append(
            CheckResult("checks", Verdict.UNKNOWN, f"pytest ended with {code}, not all checks ran")
        )
    return collector.results


def _group(item: pytest.Item) -> str:
    """The group of one of a project's own checks; without a marker it is steady state."""
    marked = any(item.get_closest_marker(name) for name in ("invariant", "recovery"))
    return "invariants" if marked else "steady"


def _own_result(item: pytest.Item, call: pytest.CallInfo[None]) -> CheckResult:
    """The result of a project's own check (`engine.listens[match-1]`): a failed assertion is violated, any other error unknown."""
    name = f"{item.path.stem.removeprefix('test_')}.{item.name.removeprefix('test_')}"
    if call.excinfo is None:
        return CheckResult(name, Verdict.HELD, "it passes")
    failed = call.when == "call" and call.excinfo.errisinstance((AssertionError, pytest.fail.Exception))
    return CheckResult(name, Verdict.VIOLATED if failed else Verdict.UNKNOWN, in_one_line(call.excinfo.exconly()))


@contextmanager
def _without(*names: str) -> Iterator[None]:
    """Ignore what users have configured for their own pytest runs."""
    kept = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(kept)
