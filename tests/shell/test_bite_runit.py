"""service-stop, process-kill and process-pause of a service of a real runit, in dash and busybox ash."""

from __future__ import annotations

import time
from collections.abc import Iterator

import msgspec
import pytest

from stormdesk.core.errors import RefusedError
from stormdesk.core.inventory import ServiceEntry
from stormdesk.core.values import Duration
from stormdesk.faults.process.process_kill import ProcessKill
from stormdesk.faults.process.service_stop import ServiceStop
from stormdesk.host import probe
from tests.shell import runit
from tests.shell.rig import Rig, rig, same, states
from tests.shell.sandbox import SHELLS, eventually
from tests.shell.test_bite import bite, heal
from tests.shell.test_bite_process import by_the_watchdog, finish, killed_half_way

RUNS = "pgrep -f '^sleep 1000'"


@pytest.fixture(scope="module", params=SHELLS)
def host(request: pytest.FixtureRequest) -> Iterator[Rig]:
    """A host on which runit runs `trader`."""
    with rig(request.param) as one:
        services = {"trader": ServiceEntry(user="nobody", manager="runit")}
        one.host = msgspec.structs.replace(one.host, services=services)
        runit.start(one.sandbox)
        eventually(RUNS, one.sandbox, 15)
        yield one


def test_runit_stops_a_service_and_starts_it_again(host: Rig) -> None:
    before = bite(host, ServiceStop(service="trader"))
    assert not host.sandbox.script(RUNS).ok
    assert host.sandbox.script("sv status trader").stdout.startswith("down: trader:")
    heal(host, before)
    eventually(RUNS, host.sandbox, 5)
    assert host.sandbox.sh("sv status trader").startswith("run: trader:")


def test_a_stop_is_undone_by_the_watchdog_and_after_a_killed_inject(host: Rig) -> None:
    fault = ServiceStop(service="trader")
    finish(host, by_the_watchdog(host, fault, 8.0))
    eventually(RUNS, host.sandbox, 5)
    finish(host, killed_half_way(host, fault, "sd_service_stop"))
    eventually(RUNS, host.sandbox, 5)


def test_it_is_known_whose_stop_it_is_however_much_later(host: Rig) -> None:
    """Ours is undone four seconds later; one that an operator made since is kept."""
    before = bite(host, ServiceStop(service="trader"))
    time.sleep(4.2)
    heal(host, before)
    eventually(RUNS, host.sandbox, 5)
    before = bite(host, ServiceStop(service="trader"))
    host.sandbox.sh("sv -w 5 up trader; sv -w 5 down trader")
    done = host.revert()
    assert "stopped_by_others=trader" in done.stdout
    assert states(done)[-1] == "REVERTED"
    assert not host.sandbox.script(RUNS).ok
    assert host.clear().ok
    host.sandbox.sh("sv -w 5 up trader")
    eventually(RUNS, host.sandbox, 5)
    same(before, host.sandbox)


def test_a_killed_service_is_started_by_runit_itself(host: Rig) -> None:
    old = host.sandbox.sh(RUNS)
    before = bite(host, ProcessKill(service="trader"))
    eventually(f'p=$({RUNS}) && [ "$p" != {old.strip()} ]', host.sandbox, 10)
    done = host.revert()
    assert (done.code, states(done)[-1]) == (0, "REVERTED"), done.stdout
    assert probe.records(done.stdout)[0].value("started_by") == "manager"
    assert host.clear().ok
    same(before, host.sandbox)


def test_a_killed_service_that_runit_does_not_start_is_started_by_us_which_is_said(host: Rig) -> None:
    host.sandbox.sh("sv once trader")
    before = bite(host, ProcessKill(service="trader", rto=Duration(1)))
    time.sleep(1.5)
    assert not host.sandbox.script(RUNS).ok
    done = host.revert(patience_s=8)
    assert (done.code, states(done)[-1]) == (0, "REVERTED"), done.stdout
    assert probe.records(done.stdout)[0].value("started_by") == "stormdesk"
    assert host.clear().ok
    eventually(RUNS, host.sandbox, 5)
    same(before, host.sandbox)


def test_runit_itself_is_never_a_target(host: Rig) -> None:
    with pytest.raises(RefusedError, match="is a service manager"):
        host.plan(ProcessKill(pattern="runsv trader"))
