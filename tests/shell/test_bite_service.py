"""service-stop and process-crashloop with a real supervisord, in dash and busybox ash."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest

from stormdesk.core.fault import Fault
from stormdesk.core.inventory import ServiceEntry
from stormdesk.core.values import Count, Duration
from stormdesk.faults.process.process_crashloop import ProcessCrashloop
from stormdesk.faults.process.service_stop import ServiceStop
from tests.shell.rig import CONFIRMED, Rig, picture, rig, same, states
from tests.shell.sandbox import SHELLS, eventually, require
from tests.shell.test_bite import SUPERVISOR, heal
from tests.shell.test_bite_process import by_the_watchdog, finish, killed_half_way
from tests.shell.test_process import SYSTEMCTL

RUNS = "pgrep -f 'sleep 1000'"


@pytest.fixture(scope="module", params=SHELLS)
def host(request: pytest.FixtureRequest) -> Iterator[Rig]:
    """A host with a real supervisord that runs `trader`."""
    require("supervisord", "supervisorctl")
    with rig(request.param) as one:
        services = {"trader": ServiceEntry(user="nobody", manager="supervisor")}
        one.host = msgspec.structs.replace(one.host, services=services)
        one.sandbox.sh(SUPERVISOR)
        eventually(RUNS, one.sandbox, 20)
        yield one


def bite(host: Rig, fault: Fault) -> list[str]:
    """Arm and inject, with a deadline that is far: supervisorctl takes seconds on a busy machine. The picture from before."""
    before = picture(host.sandbox)
    done = host.arm(host.plan(fault, 90.0))
    assert states(done) == CONFIRMED, done.stdout
    return before


def test_a_stopped_service_stays_stopped_until_the_undo_starts_it(host: Rig) -> None:
    before = bite(host, ServiceStop(service="trader"))
    assert not host.sandbox.script(RUNS).ok
    assert "STOPPED" in host.sandbox.script("supervisorctl status trader").stdout
    heal(host, before)
    assert host.sandbox.script(RUNS).ok
    assert "RUNNING" in host.sandbox.sh("supervisorctl status trader")


def test_a_stop_is_undone_by_the_watchdog_and_after_a_killed_inject(host: Rig) -> None:
    finish(host, by_the_watchdog(host, ServiceStop(service="trader"), 10.0))
    assert host.sandbox.script(RUNS).ok
    finish(host, killed_half_way(host, ServiceStop(service="trader"), "sd_service_stop"))
    assert host.sandbox.script(RUNS).ok


def test_a_service_that_somebody_started_runs_on(host: Rig) -> None:
    before = bite(host, ServiceStop(service="trader"))
    host.sandbox.sh("supervisorctl start trader")
    pid = host.sandbox.sh(RUNS)
    heal(host, before)
    assert host.sandbox.sh(RUNS) == pid


def test_a_stop_by_an_operator_in_the_hold_is_kept(host: Rig) -> None:
    before = bite(host, ServiceStop(service="trader"))
    stamp = host.sandbox.sh("cat /run/stormdesk/r-*/stop.trader").strip()
    # An hour ago, as if the minute had passed: supervisord tells the time of a stop to the minute.
    host.sandbox.sh(f"echo '{stamp} before' >$(echo /run/stormdesk/r-*/stop.trader)")
    done = host.revert()
    assert states(done)[-1] == "REVERTED", done.stdout
    assert "stopped_by_others=trader" in done.stdout
    assert not host.sandbox.script(RUNS).ok
    assert host.clear().ok
    host.sandbox.sh("supervisorctl start trader")
    same(before, host.sandbox)


def test_the_next_starts_fail_and_then_it_runs(host: Rig) -> None:
    first = host.sandbox.sh(RUNS).strip()
    before = bite(host, ProcessCrashloop(service="trader", starts=Count(3)))
    eventually("cat /run/stormdesk/r-*/crashes; [ $(cat /run/stormdesk/r-*/crashes | wc -l) = 4 ]", host.sandbox, 40)
    assert host.sandbox.sh("head -n 1 /run/stormdesk/r-*/crashes").startswith(f"{first}.")
    eventually(RUNS, host.sandbox, 30)
    last = host.sandbox.sh(RUNS)
    done = host.revert()
    assert states(done)[-1] == "REVERTED", done.stdout
    assert "hits=4" in done.stdout
    assert "started_by=manager" in done.stdout
    assert host.clear().ok
    same(before, host.sandbox)
    assert host.sandbox.sh(RUNS) == last


def test_a_crashloop_ends_with_the_watchdog_and_after_a_killed_inject(host: Rig) -> None:
    fault = ProcessCrashloop(service="trader", starts=Count(1000), rto=Duration(5))
    finish(host, by_the_watchdog(host, fault, 12.0))
    eventually("supervisorctl status trader | grep RUNNING", host.sandbox, 10)
    finish(host, killed_half_way(host, fault, "sd_crashloop"))
    eventually("supervisorctl status trader | grep RUNNING", host.sandbox, 10)


def test_systemd_is_asked_to_stop_and_start_its_unit(host: Rig) -> None:
    """With a systemctl that writes down what it is asked; tests/e2e has a real one."""
    was = host.host
    stop = "  stop*) kill -9 $(cat /tmp/unit.pid); sleep 0.1 ;;\n  *InactiveEnter*) echo 17 ;;\n"
    host.sandbox.sh(SYSTEMCTL.replace('case "$*" in\n', f'case "$*" in\n{stop}'))
    host.host = msgspec.structs.replace(was, services={"trader": ServiceEntry(user="nobody", manager="systemd")})
    before = bite(host, ServiceStop(service="trader"))
    assert "stop trader" in host.sandbox.sh("cat /tmp/asked").splitlines()
    heal(host, before)
    assert "start trader" in host.sandbox.sh("cat /tmp/asked").splitlines()
    host.sandbox.sh("kill $(cat /tmp/unit.pid); rm -r /run/systemd /usr/local/bin/systemctl /tmp/asked /tmp/unit.pid")
    host.host = was
