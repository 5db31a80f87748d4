"""On CI a skipped test fails: its requirements must be installed there. Only a requirement that none of our machines can meet (a
kernel feature, a plugin that is in no registry) may be missing; such a test calls `cannot`.

At the end of a run it is said how many were skipped, by reason.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Generator
from typing import NoReturn, TypeVar

import pytest

from stormdesk.core.errors import RefusedError

T = TypeVar("T")
CANNOT = "this machine cannot show it: "


def on_ci() -> bool:
    """Is CI set, to anything that does not say no?"""
    return os.environ.get("CI", "").lower() not in ("", "0", "false", "no")


def cannot(why: str) -> NoReturn:
    """Skip, also on CI."""
    pytest.skip(CANNOT + why)


def got(require: Callable[[], T]) -> T:
    """What `require` finds, or makes. Where there is none, the test skips and says why."""
    try:
        return require()
    except RefusedError as error:
        pytest.skip(str(error))


def reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Why a test was skipped."""
    said = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return " ".join(said.removeprefix("Skipped: ").split())


def _judge(report: pytest.TestReport | pytest.CollectReport) -> None:
    if on_ci() and report.skipped and not hasattr(report, "wasxfail") and not reason(report).startswith(CANNOT):
        report.longrepr = f"skipped, and on CI nothing may be missing: {reason(report)}"
        report.outcome = "failed"


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Judge a test, however it was skipped: by a mark, by a fixture or by itself."""
    report = yield
    _judge(report)
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Judge a file that was skipped as a whole."""
    report = yield
    _judge(report)
    return report


def summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many tests were skipped, by reason."""
    counted = Counter(reason(report) for report in terminalreporter.stats.get("skipped", ()))
    for why, number in counted.most_common():
        terminalreporter.write_line(f"skipped {number}: {why}")
