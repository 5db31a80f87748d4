"""Common to all tests: the running lab, and the counts of repeated tests."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from stormdesk.infra import environment, existing, pulumi_cli
from stormdesk.infra.backends.lab import control, layer
from stormdesk.infra.dialing import dialer
from stormdesk.ssh.pool import Pool
from stormdesk.testnet.resilience import Overrides
from tests import skips
from tests.skips import got, pytest_make_collect_report, pytest_runtest_makereport  # noqa: F401  hooks
from tests.support.desk import desk, tidy  # noqa: F401  fixtures
from tests.support.spread import pytest_xdist_make_scheduler  # noqa: F401  a hook

# Tests of one lab kill the same service: a restart counts as verified sooner, so that they do not add up.
SHORT_VERIFY: Overrides = {"guard": {"verify_s": 15}}
SHORT_TIMERS: Overrides = {  # of testnet/resilience.yaml, for tests that break the venue many times
    "breaker": {"open_s": 3},
    "order": {"request_timeout_s": 2, "recv_window_ms": 2000, "quiet_s": 4},
    "reconcile": {"interval_s": 5},
    "balance": {"max_age_s": 5},
    "retry": {"cap_s": 2},
}
ORDERS = 15  # above the floors of all judges
FIRST_ORDERS_S = 60.0
SHARE = 10  # percent of the repeats that the gate does
ACCEPTED = 'grep -c \'"kind":"ACK"\' /var/lib/trading/trader/ledger.jsonl || true'  # trader-a leads at first
RESILIENCE: dict[str, Overrides] = {  # by the fixture or the file that uses them
    "lab": SHORT_VERIFY, "brisk_lab": SHORT_TIMERS, "test_storm.py": SHORT_TIMERS | SHORT_VERIFY, "test_stack_full.py": SHORT_VERIFY,
}  # fmt: skip
TOPICS = (  # user properties that are printed at the end of a run
    "repeated", "resilience", "test x mutant", "bug x invariant", "crash test", "storm", "fuzz",
)  # fmt: skip


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--counts 100` is the long run; the default does a tenth."""
    parser.addoption(
        "--counts", type=int, default=SHARE, metavar="PERCENT", help="how much of the repeated tests to run"
    )
    parser.addoption("--write-catalogue", action="store_true", help="write docs/catalogue.md anew")
    parser.addoption(
        "--full-timers", action="store_true", help="run the scenarios that shorten timers with those of resilience.yaml"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With --full-timers: what shortens timers else, and the contract tests."""
    if config.getoption("--full-timers"):
        wanted = {
            item for item in items if "timers" in getattr(item, "fixturenames", ()) or "contract" in item.path.parts
        }
        config.hook.pytest_deselected(items=[item for item in items if item not in wanted])
        items[:] = [item for item in items if item in wanted]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests had to say (how often repeated ones ran, which test found which mutant), and what was skipped."""
    reports = [report for group in terminalreporter.stats.values() for report in group]
    said = {pair for report in reports for pair in getattr(report, "user_properties", ()) if pair[0] in TOPICS}
    for topic, line in sorted(said):
        terminalreporter.write_line(f"{topic}: {line}")
    skips.summary(terminalreporter)


def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Have the numbers printed that this test went by in place of those of resilience.yaml."""
    for name in (item.path.name, *getattr(item, "fixturenames", ())):
        if short := RESILIENCE.get(name):
            item.user_properties.append(("resilience", f"{name} {short}"))


@pytest.fixture
def repeats(request: pytest.FixtureRequest) -> Callable[..., int]:
    """The count of a repeated test: of `full` times the share asked for, but at least 2. `repeats(100, 3)` is 3 where no
    more than the default is asked for: each time costs seconds, and the nightly `dev.soak` does all of them."""

    def count(full: int, short: int = 0) -> int:
        share = request.config.getoption("--counts")
        times: int = short if short and share <= SHARE else max(2, full * share // 100)
        request.node.user_properties.append(("repeated", f"{request.node.name} {times} of {full}"))
        return times

    return count


@pytest.fixture(scope="module")
def timers(request: pytest.FixtureRequest) -> Callable[[Overrides], Overrides]:
    """`timers({"guard": {"check_s": 1}})` are the overrides that a file's tests may use: those, or none with
    --full-timers. They are printed at the end of a run."""

    def overrides(short: Overrides) -> Overrides:
        RESILIENCE[request.path.name] = {} if request.config.getoption("--full-timers") else short
        return RESILIENCE[request.path.name]

    return overrides


@pytest.fixture(scope="session")
def engine() -> pulumi_cli.Engine:
    """The Pulumi engine."""
    return got(pulumi_cli.require)


@pytest.fixture(scope="session")
def kafka() -> None:
    """The package layer with Kafka."""
    got(lambda: layer.ensure(print, with_kafka=True))


@pytest.fixture(scope="session")
def lab_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A STORMDESK_HOME for this test session alone, on a machine that can run labs."""
    got(control.require)
    got(lambda: layer.ensure(print))
    before = os.environ.get("STORMDESK_HOME")
    os.environ["STORMDESK_HOME"] = home = str(tmp_path_factory.mktemp("home"))
    yield home
    os.environ.pop("STORMDESK_HOME")
    if before is not None:
        os.environ["STORMDESK_HOME"] = before


@contextmanager
def trading(name: str, topology: str, numbers: Overrides, init: str = "busybox") -> Iterator[str]:
    """An environment of the lab that has traded for long enough to be judged: down at the end, whatever happens."""
    environment.up(name, topology, "lab", "direct", 7200.0, print, numbers, init)
    try:
        inventory = existing.load(name)
        with Pool(inventory, dialer(inventory)) as pool:
            until = time.monotonic() + FIRST_ORDERS_S
            while int(pool.run("trader-a", ("sh", "-c", ACCEPTED), 10).stdout or 0) < ORDERS:
                assert time.monotonic() < until, f"no {ORDERS} orders within {FIRST_ORDERS_S:g} s"
                time.sleep(0.2)
        yield name
    finally:
        environment.down(name, print)


@pytest.fixture(scope="module")
def brisk_lab(lab_home: str) -> Iterator[str]:
    """As `lab`, with timers that are short."""
    with trading(f"brisk-{os.getpid()}", "core", SHORT_TIMERS) as name:
        yield name


@pytest.fixture(scope="module")
def lab(lab_home: str) -> Iterator[str]:
    """The name of an environment with the core stack, for one file: more than one at a time for each worker would keep
    the processors busy with trading. Leave it as you found it."""
    with trading(f"test-{os.getpid()}", "core", SHORT_VERIFY) as name:
        yield name
