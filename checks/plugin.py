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
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from testinfra.host import Host

from stormdesk.cli import sources
from stormdesk.core.errors import StormdeskError, UsageError
from stormdesk.core.inventory import Inventory
from stormdesk.core.model import CheckResult, Verdict
from stormdesk.evidence import take_cut
from stormdesk.evidence.cut import Cut
from stormdesk.evidence.judges import JUDGES, applicable
from stormdesk.evidence.steady import Vitals
from stormdesk.evidence.take_cut import NO_RUN, RunFacts
from stormdesk.evidence.vitals import gather
from stormdesk.run import settings
from stormdesk.ssh import testinfra_backend
from stormdesk.ssh.parallel import Run, each

Judged = Callable[[CheckResult], None]


class UnknownVerdict(Exception):
    """The check could not decide. This is not a pass."""


@dataclass(frozen=True)
class Evidence:
    """Hosts to query (`run`, `hosts`), or a recorded `folder`. `facts` is what only the run knows."""

    folder: Path
    inventory: Inventory | None = None
    run: Run | None = None
    hosts: Mapping[str, Host] | None = None
    facts: RunFacts = NO_RUN
    own: Sequence[Path] = ()  # folders with a project's own checks

    @cached_property
    def cut(self) -> Cut:
        """The recorded cut, or one taken now; once for all checks of a session."""
        if self.inventory is None or self.run is None:
            return take_cut.load(self.folder)
        return take_cut.take(self.run, self.inventory, self.folder, self.facts)

    @cached_property
    def residue(self) -> Cut:
        """What is left on hosts. On its own it needs no consistent cut, so trading continues."""
        if self.inventory is None or self.run is None or "cut" in self.__dict__:
            return self.cut
        return take_cut.residue_only(self.run, self.inventory, self.facts)

    @cached_property
    def vitals(self) -> Mapping[str, Vitals]:
        """The facts that all hosts report, queried once."""
        return gather(self.run, self.inventory) if self.inventory and self.run else {}

    @cached_property
    def services(self) -> Mapping[str, Mapping[str, bool] | StormdeskError]:
        """By host, which of its supervised services run. Hosts are queried in parallel: supervisorctl is slow to start."""
        return each(self.hosts or {}, self._supervised)

    def _supervised(self, name: str) -> dict[str, bool]:
        assert self.inventory is not None
        assert self.hosts is not None
        entries = self.inventory.hosts[name].services.items()
        names = [n for n, entry in entries if entry.manager == "supervisor"]
        supervisor: Any = self.hosts[name].supervisor  # testinfra's modules have no type hints
        try:
            states = {service.name: service.is_running for service in supervisor.get_services()} if names else {}
        except AssertionError:  # supervisorctl status fails if any of them is not running
            return {n: supervisor(n).is_running for n in names}
        return {n: states.get(n, False) for n in names}


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


@pytest.fixture(scope="session")
def traders(live: Evidence) -> list[str]:
    assert live.inventory is not None
    _need_trading(live)
    return [host.name for host in live.inventory.role("trader")]


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


def _need_trading(evidence: Evidence) -> None:
    """Checks about orders are skipped where there is no venue to report them."""
    if evidence.inventory is not None and not evidence.inventory.trading:
        pytest.skip("not the trading stack: no venue, trader and postgres with their ports in the inventory")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    """A check that ends without a verdict is unknown."""
    yield
    if RESULT not in item.stash and not is_own(item):
        raise UnknownVerdict("the check ended without a verdict")


@pytest.fixture
def invariant(evidence: Evidence, judged: Judged) -> Callable[[str], None]:
    """`invariant("I-01")` judges the cut; judges that do not apply to it are skipped."""

    def judge(name: str) -> None:
        _need_trading(evidence)
        if name not in applicable(evidence.cut):
            pytest.skip(f"{name}: this cut has nothing that it is about, a fault or a service")
        judged(JUDGES[name](evidence.cut))

    return judge
