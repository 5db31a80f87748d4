"""Hosts with systemd as process 1: faults and their undo beside logind, networkd, units that are restarted, and real reboots."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from stormdesk.core import inventory as documents
from stormdesk.core.errors import TransportError
from stormdesk.infra import environment, existing, home
from stormdesk.infra.backends.lab import content, control, parts, records
from stormdesk.infra.backends.lab.systemd import OPS
from stormdesk.infra.topology import Init
from tests.conftest import SHORT_VERIFY, trading
from tests.e2e.lab_traces import assert_gone
from tests.e2e.test_lab_life import PAIR
from tests.support.desk import Desk, events, eventually, sat_at
from tests.support.zygote import Process

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("tidy")]

NETWORKD = "ip -o addr show dev eth1 | sort -k 4; ip route show dev eth1; ip -6 route show dev eth1 | sed 's/ expires.*//'; ip rule show"
THEIRS = "ip addr add 10.77.1.213/32 dev eth1; ip route add 10.99.0.0/16 via 10.77.1.11 dev eth1 metric 77"
NOT_THEIRS = "ip route del 10.99.0.0/16 dev eth1; ip addr del 10.77.1.213/32 dev eth1"


@pytest.fixture(scope="module")
def desk(lab_home: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with (
        trading(f"systemd-{os.getpid()}", "core", SHORT_VERIFY, "systemd") as name,
        sat_at(name, tmp_path_factory.mktemp("runs")) as desk,
    ):
        yield desk


def as_ops(desk: Desk, host: str, command: str) -> subprocess.Popen[bytes]:
    """A colleague's log-in at a host, by the plain ssh client."""
    config = f"{home.home()}/envs/{desk.name}/ssh_config"
    words = ["ssh", "-F", config, "-l", OPS, host, command]
    return subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


def held(desk: Desk, task: str, *words: str) -> tuple[Process, str]:
    """A run that is in its hold, and its id."""
    process = desk.start(task, *words)
    run = desk.run_started_by(process)
    desk.reached(run, "S6.hold")
    return process, run


def capabilities(text: str) -> int:
    """The bounding set in a /proc/PID/status."""
    return int(next(line for line in text.splitlines() if line.startswith("CapBnd")).split()[1], 16)


def test_systemd_runs_the_host_and_nothing_has_more_rights_than_it(desk: Desk) -> None:
    for host in existing.load(desk.name).hosts:
        said = desk.sh(host, "cat /proc/1/comm; systemctl is-system-running --wait; systemctl --failed --no-legend")
        assert said.split() == ["systemd", "running"]
    assert "configured" in desk.sh("trader-a", "networkctl --no-legend list eth1")
    assert "root" in desk.sh("trader-a", "loginctl list-sessions --no-legend")
    assert desk.sh("trader-a", f"su {OPS} -c 'sudo -n id -u'") == "0"
    pid = control.host_pids(desk.name, records.running(desk.name))["trader-a"]
    inside = [Path(f"/proc/{pid}/status").read_text(), desk.sh("trader-a", "cat /proc/self/status")]
    inside.append(parts._script(pid, parts.INSIDE, "cat /proc/self/status"))
    assert [capabilities(text) & sum(1 << number for number in content.DROPPED) for text in inside] == [0, 0, 0]


def test_the_stack_trades_and_nothing_has_drifted(desk: Desk) -> None:
    done = desk.invoke("check.steady")
    assert {check["id"] for check in done["checks"]} >= {"services trader-a", "services store"}
    desk.invoke("env.drift")
    desk.sh("ops", "systemctl stop prober")
    assert "prober" in str(desk.invoke("env.drift", code=1))
    assert "services ops" in [
        c["id"] for c in desk.invoke("check.steady", code=1)["checks"] if c["verdict"] == "violated"
    ]
    desk.invoke("env.drift", "--mend")
    assert desk.sh("ops", "systemctl is-active prober") == "active"


def test_an_interface_of_networkd_comes_back_with_what_networkd_does_not_bring(desk: Desk) -> None:
    desk.sh("trader-a", THEIRS)
    before = desk.sh("trader-a", NETWORKD)
    assert "10.77.1.213" in before
    assert "10.99.0.0/16" in before
    desk.invoke("chaos.adapter-down", "--host", "trader-a", "--interface", "eth1", "--for", "2s")
    assert desk.sh("trader-a", NETWORKD) == before
    assert "configured" in desk.sh("trader-a", "networkctl --no-legend list eth1")
    desk.sh("trader-a", NOT_THEIRS)


def test_a_unit_is_killed_and_started_again_by_systemd_and_a_stopped_one_goes_on(desk: Desk) -> None:
    restarts = int(desk.sh("trader-a", "systemctl show -p NRestarts --value trader"))
    stopped = desk.start(
        "chaos.process-kill", "--host", "trader-b", "--service", "trader", "--signal", "STOP", "--for", "3s"
    )
    desk.end(stopped, 0)
    assert desk.sh("trader-b", "ps -o stat= -p $(systemctl show -p MainPID --value trader) | cut -c1") != "T"
    desk.invoke("chaos.process-kill", "--host", "trader-a", "--service", "trader", "--rto", "6s")
    assert int(desk.sh("trader-a", "systemctl show -p NRestarts --value trader")) == restarts + 1


ONE_START = (
    "mkdir -p /run/systemd/system/prober.service.d; "
    "printf '[Unit]\\nStartLimitBurst=1\\nStartLimitIntervalSec=1h\\n' >/run/systemd/system/prober.service.d/one.conf"
)
SUPERVISORD = (
    "printf '[unix_http_server]\\nfile=/run/supervisor.sock\\n[supervisord]\\n[rpcinterface:supervisor]\\n"
    "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\\n[supervisorctl]\\n"
    "serverurl=unix:///run/supervisor.sock\\n[program:prober]\\ncommand=sleep 1000\\n' >/etc/supervisord.conf; "
    "systemd-run -q --unit other /usr/bin/supervisord -n -c /etc/supervisord.conf"
)


def test_case_C18_C2B_the_named_manager_is_asked_and_a_unit_out_of_starts_is_reset(desk: Desk) -> None:
    desk.sh("ops", f"{ONE_START}; systemctl daemon-reload; systemctl restart prober; {SUPERVISORD}")
    eventually(lambda: "RUNNING" in desk.sh("ops", "supervisorctl status prober"), 10)
    other = desk.sh("ops", "supervisorctl pid prober")
    try:
        done = desk.invoke("chaos.process-kill", "--host", "ops", "--service", "prober", "--rto", "2s", code=1)
        assert "nothing else started the service again within its RTO, we did" in done["why"]
        assert desk.sh("ops", "systemctl is-active prober") == "active"
        assert desk.sh("ops", "supervisorctl pid prober") == other
    finally:
        desk.sh(
            "ops",
            "systemctl stop other; rm -r /run/systemd/system/prober.service.d /etc/supervisord.conf; systemctl daemon-reload",
        )


def test_case_C19_a_colleague_logs_in_and_out_in_the_hold(desk: Desk) -> None:
    """Before the next test, which logs in as the same person on every host: systemd ends what that begins ten seconds later."""
    process, run = held(
        desk, "chaos.adapter-down", "--host", "trader-b", "--interface", "eth1", "--for", "6s", "--allow-unsteady"
    )
    with as_ops(desk, "trader-b", "sleep 60") as colleague:
        eventually(lambda: desk.sh("trader-b", f"loginctl list-sessions --no-legend | grep {OPS}"), 5)
        try:
            assert "S7.revert" not in [event["event"] for event in events(desk, run)]
            done = desk.end(process, 0)
            assert done["residue"] == "clean"
        finally:
            colleague.kill()
            desk.sh("trader-b", f"loginctl terminate-user {OPS}; systemctl stop user@1800; sleep 0.5")
            desk.invoke("chaos.revert", "--run", run) if desk.records() else None


def test_case_C20_watchdogs_outlive_the_log_in_that_started_them(desk: Desk, tmp_path: Path) -> None:
    inventory = existing.load(desk.name)
    hosts = {name: msgspec.structs.replace(host, user=OPS) for name, host in inventory.hosts.items()}
    (tmp_path / "ops.json").write_bytes(documents.render(msgspec.structs.replace(inventory, hosts=hosts)))
    with as_ops(
        desk, "trader-a", "sleep 60"
    ) as other:  # so that the end of the run's log-in is not the last of its user
        words = ("--inventory", str(tmp_path / "ops.json"), "--host", "trader-a", "--interface", "eth1", "--for", "30s")
        process, _ = held(desk, "chaos.adapter-down", *words, "--allow-unsteady")
        process.kill()
        process.communicate()
        try:
            sessions = f"loginctl list-sessions --no-legend | grep -c {OPS}"
            eventually(lambda: desk.sh("trader-a", sessions) == "1", 10)
            assert [record["watchdogs"] for record in desk.records()["trader-a"]] == [2]
        finally:
            desk.invoke("chaos.revert", "--all")
            other.kill()


def power_off_and_on(desk: Desk, host: str) -> None:
    """As a power cut: process 1 gets no chance to do anything."""
    pid = control.host_pids(desk.name, records.running(desk.name))[host]
    spec = next(it for it in parts.document(desk.name).hosts if it.name == host)
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: control.status(desk.name)[host]["state"] == "off", 5)
    parts.put_host(desk.name, spec)


RESTARTS: dict[str, Callable[[Desk], object]] = {  # of hosts, by name, in the hold
    "trader-b": lambda desk: desk.sh("trader-b", "systemctl reboot"),
    "ops": lambda desk: desk.sh("ops", "reboot -f"),
    "feed": lambda desk: power_off_and_on(desk, "feed"),
}


def test_case_C2A_a_reboot_undoes_a_full_disk_before_the_services_start(desk: Desk) -> None:
    started = {
        host: desk.start("chaos.disk-full", "--host", host, "--for", "15s", "--allow-unsteady") for host in RESTARTS
    }
    runs = {host: desk.run_started_by(process) for host, process in started.items()}
    for run in runs.values():
        desk.reached(run, "S6.hold")
    for host, restart in RESTARTS.items():
        with contextlib.suppress(TransportError):
            restart(desk)
        desk.pool.drop(host)
    for host in RESTARTS:
        desk.pool.reconnect(host, 20)
        first = desk.sh(
            host, "journalctl -b -o cat | grep -m 1 -e '^Finished stormdesk-boot' -e '^Started .* of the trading stack'"
        )
        assert first.startswith("Finished stormdesk-boot.service"), first
        assert desk.sh(host, "ls -A /var/lib/trading | grep stormdesk") == ""
        assert (
            desk.sh(host, "ls -d /etc/systemd/system/stormdesk* /etc/systemd/system/sysinit.target.wants 2>/dev/null")
            == ""
        )
    for host, process in started.items():
        assert "was reverted by boot" in desk.end(process, 4)["why"]
        assert [e["reverted_by"] for e in events(desk, runs[host]) if e["event"] == "S8.verified"] == ["boot"], host


def test_kill_9_of_a_lab_takes_its_hosts_along_and_down_leaves_nothing(lab_home: str) -> None:
    """Of two hosts one has systemd: its groups, mounts and links go as those of the other."""
    name = f"pair-{os.getpid()}"
    hosts = [replace(host, init=Init.SYSTEMD if host.name == "h11" else host.init) for host in PAIR.hosts]
    environment.up(name, replace(PAIR, hosts=hosts), "lab", "direct", 600.0, print)
    pid = records.running(name)
    inside = control.host_pids(name, pid)
    assert [Path(f"/proc/{inside[host]}/comm").read_text() for host in ("h11", "h12")] == ["systemd\n", "busybox\n"]
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not any(Path(f"/proc/{one}").exists() for one in inside.values()), 5)
    environment.down(name, print)
    assert_gone(name, lab_home, 5)
