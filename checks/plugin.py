"""Shared by the check files: where the evidence comes from, and how a verdict becomes a test's outcome.

Rules:
1. The evidence is live (hosts, over SSH) or recorded (a cut's directory); the check files do not know which.
2. held: the test passes. violated: AssertionError. unknown: UnknownVerdict, which is also a failure. A test that ends
   without a verdict is unknown. In a project's own checks, a failed assertion is violated and a normal end is held.
3. Verdict, reason and counts are properties in the JUnit XML.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Generator, Mapping
from pathlib import Path

import pytest
from testinfra.host import Host

from stormdesk.cli import sources
from stormdesk.core.errors import StormdeskError, UsageError
from stormdesk.core.inventory import Inventory
from stormdesk.core.model import CheckResult, Verdict
from stormdesk.evidence import judging_run
from stormdesk.evidence.gathered import Evidence
from stormdesk.evidence.judging_run import LeftOut
from stormdesk.run import settings
from stormdesk.ssh import testinfra_backend
from stormdesk.ssh.parallel import Run

Judged = Callable[[CheckResult], None]


class UnknownVerdict(Exception):
    """The check could not decide. This is not a pass."""


MARKERS = {
    "steady_state": "holds while nothing is wrong",
    "recovery": "holds again after a fault",
    "invariant": "must hold at all times",
}
EVIDENCE = pytest.StashKey[Evidence]()
RESULT = pytest.StashKey[CheckResult]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("stormdesk")
    where = "inventory: FILE (JSON), ansible:FILE, ssh-config:FILE, pulumi:STACK; default: inventory.json beside --ssh-config"
    group.addoption("--inventory", help=where)
    group.addoption("--cut", type=Path, help="judge a recorded cut, offline: runs/<id>/outputs/cut")


def pytest_configure(config: pytest.Config) -> None:
    for marker, meaning in MARKERS.items():
        config.addinivalue_line("markers", f"{marker}: {meaning}")
    if EVIDENCE not in config.stash and not config.option.help:
        try:
            config.stash[EVIDENCE] = _from_options(config)
        except StormdeskError as error:
            raise pytest.UsageError(str(error)) from None


def _from_options(config: pytest.Config) -> Evidence:
    """--cut, or --hosts with --ssh-config or --inventory, or --inventory alone (then by our own connections)."""
    recorded: Path | None = config.option.cut
    own = settings.load().checks
    if recorded is not None:
        return Evidence(recorded, own=own)
    ssh_config = Path(config.option.ssh_config) if config.option.ssh_config else None
    beside = str(ssh_config.with_name("inventory.json")) if ssh_config else None
    document: str | None = config.option.inventory or beside
    if document is None:
        raise UsageError("checks need evidence: --cut FOLDER, --inventory FILE, or --hosts=ssh://… --ssh-config FILE")
    inventory = sources.read(document)
    scratch = Path(tempfile.mkdtemp(prefix="stormdesk-"))
    config.add_cleanup(lambda: shutil.rmtree(scratch, ignore_errors=True))
    if config.option.hosts:
        hosts = testinfra_backend.by_hostspec(config.option.hosts.split(","), ssh_config, scratch)
        config.add_cleanup(lambda: _hang_up(hosts))
        return Evidence(scratch / "cut", inventory, testinfra_backend.run_on(hosts), hosts, own=own)
    run = _own_connections(inventory, config)
    return Evidence(scratch / "cut", inventory, run, testinfra_backend.pooled(inventory.hosts, run), own=own)


def _own_connections(inventory: Inventory, config: pytest.Config) -> Run:
    from stormdesk.infra import dialing
    from stormdesk.ssh.pool import Pool

    pool = Pool(inventory, dialing.dialer(inventory))
    config.add_cleanup(pool.close)
    return pool.run


def _hang_up(hosts: Mapping[str, Host]) -> None:
    for host in hosts.values():
        if isinstance(host.backend, testinfra_backend.BoundedSshBackend):
            host.backend.hang_up()


# -- fixtures ----------------------------------------------------------------------------------------------------------


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that takes `where` runs once for each host, with the host's name as its id."""
    if "where" in metafunc.fixturenames:
        inventory = metafunc.config.stash[EVIDENCE].inventory
        names = sorted(inventory.hosts) if inventory else ["recorded"]
        metafunc.parametrize("where", names, ids=names)


@pytest.fixture(scope="session")
def evidence(pytestconfig: pytest.Config) -> Evidence:
    return pytestconfig.stash[EVIDENCE]


@pytest.fixture(scope="session")
def live(evidence: Evidence) -> Evidence:
    """For checks that need hosts; they are skipped on a recorded cut."""
    if evidence.inventory is None:
        pytest.skip("a recorded cut has no hosts to ask")
    return evidence


@pytest.fixture(scope="session")
def on(live: Evidence) -> Callable[[str], Host]:
    """`on("trader-a")` is that host for testinfra: `on("trader-a").service("engine").is_running`."""
    assert live.hosts is not None
    return live.hosts.__getitem__


@pytest.fixture
def judged(request: pytest.FixtureRequest) -> Judged:
    """`judged(result)` turns a result into the test's outcome."""

    def end(result: CheckResult) -> None:
        request.node.stash[RESULT] = result
        for key, value in {"check": result.id, "verdict": result.verdict.value, "why": result.why}.items():
            request.node.user_properties.append((key, value))
        for source, count in result.sources.items():
            request.node.user_properties.append((f"source: {source}", count))
        __tracebackhide__ = True
        if result.verdict is Verdict.VIOLATED:
            raise AssertionError(result.why)
        if result.verdict is not Verdict.HELD:
            raise UnknownVerdict(result.why)

    return end


def is_own(item: pytest.Item) -> bool:
    """Whether this is a project's own check, which may pass or fail like any test, without a verdict."""
    path = item.path.resolve()
    return any(path.is_relative_to(folder.resolve()) for folder in item.config.stash[EVIDENCE].own)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    """A check that ends without a verdict has found out nothing; one that is about nothing here is left out."""
    try:
        yield
    except LeftOut as reason:
        pytest.skip(str(reason))
    if RESULT not in item.stash and not is_own(item):
        raise UnknownVerdict("the check ended without a verdict")


@pytest.fixture
def invariant(evidence: Evidence, judged: Judged) -> Callable[[str], None]:
    """`invariant("I-01")` judges the cut; judges that do not apply to it are skipped."""

    return lambda name: judged(judging_run.invariant(name, evidence))
