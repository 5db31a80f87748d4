"""One fault on one host from S1 to S9 over a real sshd: the record's order, round trips, and links that break in between."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from stormdesk.core.errors import ConnectionLost, RefusedError, ResidueError, TransportError, UsageError
from stormdesk.core.fault import Fault, Site
from stormdesk.core.inventory import InventoryHost, Link, ServiceEntry
from stormdesk.core.model import Completed
from stormdesk.core.plan import Plan, Step
from stormdesk.core.safety import Allow
from stormdesk.core.values import Duration
from stormdesk.faults.disk.disk_full import DiskFull
from stormdesk.faults.net.adapter_down import AdapterDown
from stormdesk.faults.net.net_bandwidth import NetBandwidth
from stormdesk.faults.process.process_kill import ProcessKill
from stormdesk.run import hostrun, prepare
from stormdesk.run.hostrun import HostRun
from stormdesk.run.record import Record
from stormdesk.ssh.pool import Pool
from tests.cases.planning import changed
from tests.shell.rig import picture, same
from tests.shell.sandbox import eventually
from tests.ssh.server import Server

RUN = "r-20261121-0312-k3f9"
FILL = f"/var/lib/trading/.stormdesk-{RUN}"


@dataclass
class Desk:
    """A controller with one host."""

    server: Server
    pool: Pool
    folder: Path

    def prepare(self, fault: Fault, hold_s: float = 5.0) -> prepare.Prepared:
        host = self.pool.inventory.host("sandbox")
        (prepared,) = prepare.prepare(self.pool, fault, [host], RUN, hold_s, None, Allow())
        return prepared

    def run(self, fault: Fault, change: Callable[[Plan], Plan] = lambda plan: plan) -> HostRun:
        prepared = self.prepare(fault)
        return HostRun(change(prepared.plan), prepared.facts, self.pool, Record(self.folder, RUN))

    def trips(self, act: Callable[[], object]) -> tuple[int, int]:
        """(writes, round trips) that an act took on the one connection."""
        counted = self.server.dialed[-1]
        counted.reset()
        act()
        return counted.sends, counted.trips


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with Server(tmp_path) as server:
        facts = {
            "networks": {"market": Link(interface="eth1", address="10.9.1.2/24")},
            "services": {"trader": ServiceEntry(user="nobody", manager="supervisor")},
            "paths": {"data": "/var/lib/trading"},
        }
        with server.pool(**facts) as pool:
            pool.run("sandbox", ("true",), 10)
            yield Desk(server, pool, tmp_path / "run")


def events(run: HostRun) -> list[str]:
    return [event["event"] for event in run.record.events()]


def session_dies_after(desk: Desk, seconds: float) -> None:
    pids = " ".join(map(str, desk.server.sessions()))
    threading.Timer(seconds, lambda: desk.server.box.sh(f"kill -KILL {pids}")).start()


def test_a_run_from_intent_to_clear_in_four_round_trips(desk: Desk) -> None:
    """Facts; arm, acknowledge, inject and witness; revert and verify; clear. One write each, as far as packets go."""
    before = picture(desk.server.box)
    made: list[HostRun] = []
    assert desk.trips(lambda: made.append(desk.run(DiskFull()))) == (1, 1)
    (run,) = made
    writes, trips = desk.trips(lambda: run.arm(inject=True))
    assert trips == 1
    assert writes <= 3  # a packet holds 32 KiB, and the scripts are more
    assert "No space left on device" in run.evidence
    assert desk.trips(run.revert)[1] == 1
    assert desk.trips(run.clear)[1] == 1
    assert (run.clean, run.reverted_by, run.as_planned, run.cleared) == (True, "controller", True, True)
    protocol = [
        "S1.intent", "S2.armed", "S3.acknowledged", "S4.injected", "S5.confirmed", "S7.revert", "S8.verified", "S9.cleared",
    ]  # fmt: skip
    assert events(run) == protocol
    assert (desk.folder / "scripts/sandbox-arm.sh").read_text().startswith("sd_main() (")
    same(before, desk.server.box)


def test_a_refusal_of_the_host_leaves_nothing_to_heal(desk: Desk) -> None:
    run = desk.run(DiskFull())
    desk.server.box.sh("touch /etc/stormdesk.production")
    with pytest.raises(RefusedError, match=r"^sandbox: /etc/stormdesk\.production is there"):
        run.arm(inject=True)
    assert not run.intended
    assert run.heal() is None
    assert events(run) == ["S1.intent"]


def test_a_link_that_dies_while_injecting_counts_as_injected_and_is_never_tried_again(desk: Desk) -> None:
    before = picture(desk.server.box)
    slow = Step(("sleep", "30"), (("true",),))
    run = desk.run(DiskFull(), lambda plan: changed(plan, steps=(*plan.change.steps, slow)))
    session_dies_after(desk, 1.0)
    with pytest.raises(TransportError):
        run.arm(inject=True)
    assert run.intended
    assert desk.server.box.sh(f"test -e {FILL}; grep -c INJECTING /run/stormdesk/{RUN}/record") == "1\n"
    assert run.heal() is None
    assert (run.clean, run.cleared) == (True, True)
    assert events(run) == ["S1.intent", "S7.revert", "S8.verified", "S9.cleared"]
    same(before, desk.server.box)


def test_a_revert_is_repeated_when_the_link_dies(desk: Desk) -> None:
    before = picture(desk.server.box)
    slow = Step(("true",), (("sleep", "1.5"),))
    run = desk.run(DiskFull(), lambda plan: changed(plan, steps=(*plan.change.steps, slow)))
    run.arm(inject=True)
    session_dies_after(desk, 0.7)
    assert run.heal() is None
    assert (run.clean, run.reverted_by) == (True, "controller")
    same(before, desk.server.box)


def test_a_host_that_never_heard_of_the_run_is_clean(desk: Desk) -> None:
    run = desk.run(DiskFull())
    session_dies_after(desk, 0)
    time.sleep(0.3)
    run.intended = True  # the script was lost on its way
    assert run.heal() is None
    assert run.clean


def test_a_removed_record_is_reported_as_dirty(desk: Desk) -> None:
    run = desk.run(DiskFull())
    run.arm(inject=True)
    desk.server.box.sh("pkill -KILL -f watchdog.sh; rm -rf /run/stormdesk/r-*")
    error = run.heal()
    assert isinstance(error, ResidueError)
    assert "is gone" in str(error)
    assert run.clean is False
    desk.server.box.sh(f"rm {FILL}")


def test_a_revert_keeps_trying_while_something_else_settles(desk: Desk) -> None:
    run = desk.run(DiskFull())
    run.arm(inject=True)
    desk.server.box.sh("ip link set dev peer1 mtu 1400")
    revert = threading.Timer(2.0, lambda: desk.server.box.sh("ip link set dev peer1 mtu 1500"))
    revert.start()
    assert run.heal() is None  # it keeps trying for ten seconds, and the mtu comes back after two
    revert.join()
    assert run.clean


def test_a_cut_of_the_link_that_carries_ssh_is_left_to_the_watchdog(desk: Desk) -> None:
    """The host's own address is on eth1 here, so the plan is the watchdog's; loopback keeps the test's connection."""
    before = picture(desk.server.box)
    run = desk.run(AdapterDown(network="market"), lambda plan: changed(plan, cuts=True, ttl_s=3.0))
    began = time.monotonic()
    run.arm(inject=True)
    assert time.monotonic() - began < 2
    time.sleep(max(0.0, run.armed_mono + 3.2 - time.monotonic()))
    assert run.heal() is None
    assert (run.clean, run.reverted_by, run.as_planned) == (True, "watchdog", True)
    assert run.evidence == "eth1 is down"
    assert run.lateness_ms <= 3000
    same(before, desk.server.box)


SUPERVISOR = """
printf '%s\\n' '[unix_http_server]' file=/run/supervisor.sock '[supervisord]' logfile=/dev/null logfile_maxbytes=0 \\
  pidfile=/run/supervisord.pid '[rpcinterface:supervisor]' \\
  supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface '[supervisorctl]' \\
  serverurl=unix:///run/supervisor.sock '[program:trader]' command='sleep 1000' startsecs=0 autorestart=false \\
  >/etc/supervisord.conf
mkdir -p /etc/supervisor
cp /etc/supervisord.conf /etc/supervisor
supervisord -c /etc/supervisord.conf
"""


def test_a_revert_waits_for_a_service_as_long_as_its_manager_may_take(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody starts it within its RTO: then we do, say so, and the host is clean."""
    monkeypatch.setattr(hostrun, "REVERT_PATIENCE_S", 3.0)
    desk.server.box.sh(SUPERVISOR)
    eventually("pgrep -f 'sleep 1000'", desk.server.box, 10)
    prepared = desk.prepare(ProcessKill(service="trader", rto=Duration(5)), hold_s=0.5)
    run = HostRun(prepared.plan, prepared.facts, desk.pool, Record(desk.folder, RUN))
    run.arm(inject=True)
    assert run.heal() is None
    assert run.clean
    assert run.host_record is not None
    assert run.host_record.value("started_by") == "stormdesk"


def test_bad_targets_are_refused_before_anything_is_sent(desk: Desk) -> None:
    counted = desk.server.dialed[-1]
    counted.reset()
    for fault in (DiskFull(path="/etc"), DiskFull(path="../.."), AdapterDown(interface="lo"), AdapterDown()):
        with pytest.raises(UsageError):
            desk.prepare(fault)
    assert counted.sends == 0


def test_an_environment_that_is_not_this_one_is_refused(desk: Desk) -> None:
    desk.server.box.sh("""echo '{"environment": "other"}' >/etc/stormdesk.target""")
    with pytest.raises(RefusedError, match="belongs to environment 'other', not 'sandbox'"):
        desk.prepare(DiskFull())


@pytest.mark.parametrize("user", ["root", "trading"])
def test_case_C13_the_host_says_at_which_address_we_came_in(desk: Desk, user: str) -> None:
    """Known to us by a name and by the port of a NAT, and through sudo, which drops the environment."""
    desk.server.box.sh(
        "ip link add mv0 link eth1 type macvlan mode bridge; ip link set mv0 up; ip addr add 192.0.2.1/32 dev mv0"
    )

    def dial(host: InventoryHost, timeout_s: float) -> socket.socket:
        assert (host.address, host.port) == ("bastion.example", 2222)
        return desk.server.inside(lambda: socket.create_connection(("192.0.2.1", 22), timeout_s, ("10.9.1.2", 0)))

    inventory = desk.server.inventory(address="bastion.example", port=2222, user=user)
    fault = AdapterDown(interface="eth1")
    with Pool(inventory, dial) as pool:
        (prepared,) = prepare.prepare(pool, fault, [inventory.host("sandbox")], RUN, 5.0, None, Allow())
        said = prepared.facts.answers["carriers"].stdout.splitlines()
        assert said[0] == "at 192.0.2.1 from 10.9.1.2"
        assert {"mv0", "eth1"} <= set(said[1:])
        assert prepared.plan.control.cuts
        with pytest.raises(RefusedError, match="eth1 on sandbox carries our own connection"):
            prepare.prepare(pool, NetBandwidth(interface="eth1"), [inventory.host("sandbox")], RUN, 5.0, None, Allow())


def test_case_C13_a_connection_that_lives_through_its_cut_leaves_the_revert_to_the_watchdog(desk: Desk) -> None:
    run = desk.run(AdapterDown(network="market"), lambda plan: changed(plan, cuts=True, ttl_s=3.0))
    run.arm(inject=True)
    eventually("[ $(cat /sys/class/net/eth1/operstate) = down ]", desk.server.box, 2)
    run.due_mono -= 1.0  # as if the script had been under way for a second: the host's deadline is later than ours
    time.sleep(run.left_s())
    assert desk.server.box.sh("cat /sys/class/net/eth1/operstate") == "down\n"
    run.revert()
    assert (run.clean, run.reverted_by, run.as_planned) == (True, "watchdog", True)


def test_facts_are_read_in_one_round_trip_and_change_nothing(desk: Desk) -> None:
    before = picture(desk.server.box)
    site = Site(RUN, desk.pool.inventory.host("sandbox"), desk.pool.inventory, 5.0)
    assert desk.trips(lambda: prepare.read_facts(desk.pool, DiskFull(), site)) == (1, 1)
    same(before, desk.server.box)


def test_case_C34_a_delayed_script_finds_its_run_fenced(desk: Desk) -> None:
    """The link hangs while the host has the script and has not begun: the host says "gone", and means it."""
    before = picture(desk.server.box)
    run = desk.run(DiskFull())
    sent: list[str] = []
    script = desk.pool.script

    def lost(host: str, text: str, deadline_s: float) -> Completed:
        if "plan.sh" in text and not sent:
            sent.append(text)
            raise ConnectionLost("sandbox: the connection was lost")
        return script(host, text, deadline_s)

    desk.pool.script = lost  # type: ignore[method-assign]
    with pytest.raises(TransportError):
        run.arm(inject=True)
    assert run.heal() is None
    assert (run.clean, run.injected) == (True, False)
    late = desk.server.box.script(sent[0])
    assert late.code == 10
    assert "fenced" in late.stdout
    assert desk.server.box.sh("ls -A /var/lib/trading") == ""
    same(before, desk.server.box, 25)
