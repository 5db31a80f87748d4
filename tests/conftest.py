"""What all tests share: the running lab, and how often repeated tests repeat."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from stormdesk.errors import RefusedError
from stormdesk.infra import environment, pulumi_cli
from stormdesk.infra.backends.lab import control
from stormdesk.testnet.resilience import Overrides

# Tests of one lab kill the same service: a restart has held sooner than in earnest, so that they do not add up.
FORGETFUL = {"guard": {"verify_s": 15}}
TOPICS = (  # user properties that are printed at the end of a run
    "repeated", "test x mutant", "bug x invariant", "crash test", "storm", "fuzz",
)  # fmt: skip


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--counts 100` is the long run; the default does a tenth."""
    parser.addoption("--counts", type=int, default=10, metavar="PERCENT", help="how much of the repeated tests to run")
    parser.addoption(
        "--full-timers", action="store_true", help="run scenarios with the timers that resilience.yaml has"
    )


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests had to say: how often repeated ones ran, which test found which mutant."""
    reports = [report for group in terminalreporter.stats.values() for report in group]
    said = {pair for report in reports for pair in getattr(report, "user_properties", ()) if pair[0] in TOPICS}
    for topic, line in sorted(said):
        terminalreporter.write_line(f"{topic}: {line}")


@pytest.fixture
def repeats(request: pytest.FixtureRequest) -> Callable[[int], int]:
    """The count of a repeated test: of `full` times the share asked for, but at least 2."""

    def count(full: int) -> int:
        times: int = max(2, full * request.config.getoption("--counts") // 100)
        request.node.user_properties.append(("repeated", f"{request.node.name} {times} of {full}"))
        return times

    return count


@pytest.fixture(scope="session")
def timers(pytestconfig: pytest.Config) -> Callable[[Overrides], Overrides]:
    """`timers({"guard": {"check_s": 1}})` are the overrides that a test may use: those, or none with --full-timers."""
    full = pytestconfig.getoption("--full-timers")
    return lambda short: {} if full else short


@pytest.fixture(scope="session")
def engine() -> pulumi_cli.Engine:
    """The Pulumi engine. Where there is none the test skips; where CI is set it fails, for there one must be got."""
    try:
        return pulumi_cli.require()
    except RefusedError as error:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(str(error))


@pytest.fixture(scope="session")
def lab_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A STORMDESK_HOME for this test session alone. Skips for a user who is not root; all else must be there."""
    try:
        control.require()
    except RefusedError as error:
        (pytest.skip if os.geteuid() != 0 else pytest.fail)(str(error))
    before = os.environ.get("STORMDESK_HOME")
    os.environ["STORMDESK_HOME"] = home = str(tmp_path_factory.mktemp("home"))
    yield home
    os.environ.pop("STORMDESK_HOME")
    if before is not None:
        os.environ["STORMDESK_HOME"] = before


BRISK = {  # of testnet/resilience.yaml, for tests that break the venue many times
    "breaker": {"open_s": 3},
    "order": {"request_timeout_s": 2, "recv_window_ms": 2000, "quiet_s": 4},
    "reconcile": {"interval_s": 5},
    "balance": {"max_age_s": 5},
    "retry": {"cap_s": 2},
}


@pytest.fixture(scope="session")
def brisk_lab(lab_home: str) -> Iterator[str]:
    """As `lab`, with timers that are short; which is printed. Leave it as you found it."""
    name = f"brisk-{os.getpid()}"
    environment.up(name, "core", "lab", "direct", 3600.0, print, BRISK)
    yield name
    environment.down(name, print)


@pytest.fixture(scope="session")
def lab(lab_home: str) -> Iterator[str]:
    """The name of an environment with the core stack, up for the whole session. Leave it as you found it."""
    name = f"test-{os.getpid()}"
    environment.up(name, "core", "lab", "direct", 3600.0, print, FORGETFUL)
    yield name
    environment.down(name, print)
