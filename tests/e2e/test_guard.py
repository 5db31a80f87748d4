"""Guards and orchestrator on a trading lab: killed services come back, and those that cannot stop the host safely. Each test leaves
the lab as it was.

Each test leaves the lab as it was.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from stormdesk.checks.run import run_checks
from stormdesk.core.errors import ExitCode
from stormdesk.core.model import Verdict
from stormdesk.desk import operators
from stormdesk.desk.kill_switches import PULL_S
from stormdesk.desk.operators_log import LOG
from stormdesk.evidence.cut.operators import read
from stormdesk.infra import environment, existing
from stormdesk.infra.dialing import dialer
from stormdesk.ssh.pool import Pool
from stormdesk.testnet import resilience
from stormdesk.testnet.resilience import Overrides
from tests.e2e.guard_lab import GUARDED, NUMBERS, Lab, eventually
from tests.e2e.stack_harness import FAKETIME
from tests.support.invoking import ROOT

pytestmark = pytest.mark.lab
RTO_S = resilience.load().rto_s
FAKED = "".join(f'{key}="{value}",' for key, value in {"FAKETIME": "+0", **FAKETIME}.items())
PRELOAD = f"""
set -eu
cp "$1" "$1.was"
library=$(ls /usr/lib/*-linux-gnu/faketime/libfaketimeMT.so.1)
sed -i 's|^environment=|&LD_PRELOAD="'"$library"'",{FAKED}|' "$1"
supervisorctl update
"""


@pytest.fixture(scope="module")
def lab(lab_home: str, timers: Callable[[Overrides], Overrides]) -> Iterator[Lab]:
    name, overrides = f"guard-{os.getpid()}", timers(NUMBERS)
    environment.up(name, "core", "lab", "direct", 3600.0, print, overrides)
    try:
        inventory = existing.load(name)
        with Pool(inventory, dialer(inventory)) as pool:
            it = Lab(pool, resilience.load(overrides))
            it.settled()
            yield it
    finally:
        environment.down(name, print)


@pytest.fixture(autouse=True)
def whole(lab: Lab) -> Iterator[None]:
    yield
    lab.settled()


@pytest.mark.parametrize(("scenario", "host"), [("H_01", "feed"), ("H_02", "trader-a")])
def test_scenario_H_01_H_02_what_is_killed_comes_back(lab: Lab, scenario: str, host: str) -> None:
    service = GUARDED[host]
    before, restarts, log = lab.pids(), lab.restarts(host), len(lab.moves(host))
    lab.sh(host, f"kill -KILL {before[host]}")
    detected = eventually(lambda: lab.health(host)["failing_components"][-1:] == [service.capitalize()], 60)
    took = eventually(lambda: lab.health(host)["dor"] and lab.pid(host, service) != before[host], RTO_S[scenario])
    print(f"{scenario}: {service} killed, detected after {detected:.1f} s, well {took:.1f} s later")
    assert detected + took <= RTO_S[scenario]
    assert max(lab.health(host)["components"]["Feeder"]["stream_age_s"], 0) < 60
    lab.settled()
    assert lab.moves(host)[log:] == ["OBSERVE -> RESTART", "RESTART -> REWIRE", "REWIRE -> OBSERVE"]
    assert lab.restarts(host) == restarts + 1
    assert {h: p for h, p in lab.pids().items() if h != host} == {h: p for h, p in before.items() if h != host}


def test_scenario_B_05_feeder_and_leader_at_once(lab: Lab) -> None:
    before = lab.pids()
    for host in ("feed", "trader-a"):
        lab.sh(host, f"kill -KILL {before[host]}")
    began = time.time()
    took = eventually(lambda: lab.accepted()[-1] > began + 1 and lab.well(), RTO_S["B_05"])
    print(f"B-05: trading and well after {took:.1f} s")


def test_scenario_H_14_what_the_guard_answers_is_what_lies_on_the_disk(lab: Lab) -> None:
    def same() -> bool:
        told = lab.health("trader-a")
        lies = json.loads(lab.sh("trader-a", "cat /var/lib/trading/guard/health_v2.json"))
        age = told.pop("age_s")
        assert lies.pop("age_s") == 0
        assert age <= 2 * lab.numbers.health.interval_s
        return bool(told == lies)

    eventually(same, 60)  # a check may come in between
    command = [sys.executable, "-m", "invoke", "stack.health", "--env", lab.pool.inventory.environment, "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert {host: page["dor"] for host, page in told["hosts"].items()} == dict.fromkeys(GUARDED, True)
    assert told["desk"]["paused"] is False


def test_a_guard_and_the_orchestrator_take_orders_from_their_own_host_alone(lab: Lab) -> None:
    for url in ("http://10.77.2.12:9110/clear-failsafe", "http://10.77.2.15:8010/resume"):
        tell = f"curl -s -o /dev/null -w '%{{http_code}}' -X POST -d '{{\"by\": \"mallory\"}}' {url}"
        assert lab.sh("store", tell) == "403"


def test_scenario_H_13_a_guard_that_is_stopped_or_killed_is_seen_from_outside(lab: Lab) -> None:
    def age() -> float:
        page = lab.sh("ops", "curl -s http://127.0.0.1:9200/metrics")
        line = next(x for x in page.splitlines() if x.startswith('target_heartbeat_age_seconds{target="guard-feed"}'))
        return float(line.split()[1])

    fresh = lab.numbers.guard.check_s + 2
    eventually(lambda: age() < fresh, 60)
    pid = lab.pid("feed", "guard")
    lab.sh("feed", f"kill -STOP {pid}")
    try:
        eventually(lambda: age() > fresh + 3, 60)
        beat = json.loads(lab.sh("feed", "cat /var/lib/trading/guard/auto_heal.heartbeat.json"))
        assert time.time() - beat["ts"] > fresh
    finally:
        lab.sh("feed", f"kill -CONT {pid}")
    eventually(lambda: age() < fresh, 60)
    lab.sh("feed", f"kill -KILL {pid}")
    eventually(lambda: lab.pid("feed", "guard") != pid and age() < fresh, 60)


def test_scenario_H_04_L_09_a_cut_network_restarts_nothing(lab: Lab) -> None:
    before, restarts = lab.pids(), {host: lab.restarts(host) for host in GUARDED}
    lab.sh("venue", "ip link set eth1 down")
    try:
        cut = time.monotonic()
        wanted = {"REST_API", "Feeder"}
        eventually(lambda: all(wanted <= set(lab.health(h).get("failing_components", ())) for h in GUARDED), 60)
        print(f"H-04: all guards know after {time.monotonic() - cut:.1f} s")
        while time.monotonic() - cut < max(20, 4 * lab.sure_s):
            assert {lab.health(host)["stage"] for host in GUARDED} == {"OBSERVE"}
            time.sleep(0.5)
    finally:
        lab.sh("venue", "ip link set eth1 up")
    took = eventually(lambda: lab.well() and lab.trades(), RTO_S["H_04"])
    print(f"H-04: well {took:.1f} s after the restore")
    assert lab.pids() == before
    assert {host: lab.restarts(host) for host in GUARDED} == restarts


def test_scenario_SN_07_a_name_that_does_not_resolve_stops_orders_and_restarts_nothing(lab: Lab) -> None:
    """The trader is told the venue by its name, which then goes from its hosts file; its connections are cut."""
    config = "/etc/trading/trader.json"
    lab.sh("trader-a", f"cp -p {config} /run/trader.before && sed -i s/10.77.1.11/api.venue.internal/ {config}")
    assert operators.restart(lab.pool, "trader", ["trader-a"]).exit_code is ExitCode.HELD
    lab.settled()
    before = lab.pids()
    lab.sh("trader-a", "cp /etc/hosts /run/hosts.before && sed /venue/d /run/hosts.before >/etc/hosts")
    try:

        def unreachable() -> bool:
            """It remembers the address for some seconds, and for as long as a connection lasts."""
            lab.sh("trader-a", "ss -K dst 10.77.1.11 >/dev/null")
            return "REST_API" in lab.get("trader-a", 8000, "/health")["failing_components"]

        eventually(unreachable, 60)
        eventually(lambda: lab.get("trader-a", 8000, "/ready").get("ready") is False, 10)
    finally:
        lab.sh("trader-a", "cat /run/hosts.before >/etc/hosts && rm /run/hosts.before")
    took = eventually(lambda: lab.well() and lab.trades(), RTO_S["N_01"])
    print(f"SN-07: trading and well {took:.1f} s after the name was back")
    assert lab.pids() == before
    lab.sh("trader-a", f"cat /run/trader.before >{config} && rm /run/trader.before")
    assert operators.restart(lab.pool, "trader", ["trader-a"]).exit_code is ExitCode.HELD


def test_scenario_H_07_a_slow_venue_is_reported_and_cleared(lab: Lab) -> None:
    before = lab.pids()
    pid = lab.pid("venue", "venue")
    slow = "for i in 1 2 3 4 5 6; do kill -STOP $1; sleep 1.7; kill -CONT $1; sleep 0.1; done"
    lab.sh("venue", f'setsid sh -c "$1" sh {pid} </dev/null >/dev/null 2>&1 &', slow)
    seen = eventually(lambda: lab.health("trader-b")["components"]["REST_API"].get("error", "").startswith("slow"), 60)
    assert "REST_API" in lab.health("trader-b")["failing_components"] or lab.health("trader-b")["dor"]
    time.sleep(max(0.0, 11 - seen))
    took = eventually(lambda: lab.health("trader-b")["dor"], RTO_S["H_07"] + 15)
    print(f"H-07: slow after {seen:.1f} s, well {took:.1f} s after the last slow second")
    assert lab.pids() == before


def test_scenario_L_01_L_02_without_redis_the_desk_is_paused_and_nobody_is_restarted(lab: Lab) -> None:
    before = lab.pids()
    lab.sh("store", "supervisorctl stop redis")
    try:
        eventually(lambda: lab.state().get("reasons") == ["no leader"], 60)
        eventually(lambda: "Redis" in lab.health("trader-a")["failing_components"], 60)
        assert lab.get("trader-a", 8000, "/health")["leader"]["is_leader"] is False
        assert lab.get("trader-a", 8000, "/ready")["ready"] is False
    finally:
        lab.sh("store", "supervisorctl start redis")
    took = eventually(lambda: lab.well() and lab.trades(), RTO_S["L_02"])
    print(f"L-02: led and trading {took:.1f} s after Redis came back")
    assert max(lab.get("trader-a", 8000, "/health")["heartbeats"].values()) < 5
    assert lab.pids() == before


def test_scenario_H_05_a_corrupt_state_bus_is_restored_and_reported(lab: Lab) -> None:
    folder = "/var/lib/trading/orchestrator"
    good = lab.sh("ops", f"cat {folder}/state_bus.json")
    began = time.monotonic()
    lab.sh("ops", f'printf \'{{"version": 1, "pau\' >{folder}/state_bus.json')
    eventually(lambda: lab.sh("ops", f"ls {folder}/alerts 2>/dev/null || true") == "state_bus_invalid.json", 60)
    eventually(lambda: lab.sh("ops", f"cat {folder}/state_bus.json") == good, 60)
    print(f"H-05: made good and told after {time.monotonic() - began:.1f} s")
    lab.sh("ops", "supervisorctl stop orchestrator")
    lab.sh("ops", f"dd if=/dev/urandom of={folder}/state_bus.json bs=512 count=1 2>&1")
    lab.sh("ops", "supervisorctl start orchestrator")
    eventually(lambda: lab.state().get("paused") is False, 60)
    assert (
        json.loads(lab.sh("ops", f"cat {folder}/state_bus.json"))["leader"]["instance"]
        == lab.state()["leader"]["instance"]
    )
    said = lab.sh("ops", 'curl -s -X POST -d \'{"by": "alice"}\' http://127.0.0.1:8010/answer/state_bus_invalid')
    assert "paused" in said
    assert lab.sh("ops", f"ls {folder}/alerts 2>/dev/null || true") == ""


def test_scenario_B_04_a_pause_survives_the_orchestrator_and_holds_the_traders(lab: Lab) -> None:
    report = operators.pause(lab.pool, "alice", "drill")
    assert report.exit_code is ExitCode.HELD, report.lines
    try:
        before = lab.state()
        lab.sh("ops", "kill -KILL $(cat /run/trading/orchestrator.pid)")
        eventually(lambda: lab.state() == before, 60)
        began = time.time()
        time.sleep(3)
        assert [t for t in lab.accepted() if t > began] == []
        assert operators.health(lab.pool).exit_code is ExitCode.VIOLATED
    finally:
        report = operators.resume(lab.pool, "alice")
    assert report.exit_code is ExitCode.HELD, report.lines


def test_scenario_H_12_each_procedure_is_a_command_with_a_check(lab: Lab) -> None:
    before = lab.pids()
    report = operators.restart(lab.pool, "trader", ["trader-b"])
    assert (report.exit_code, lab.pid("trader-b", "trader") != before["trader-b"]) == (ExitCode.HELD, True)
    assert operators.reset_breakers(lab.pool, "").exit_code is ExitCode.HELD
    assert operators.reset_repeats(lab.pool, "alice", "").exit_code is ExitCode.HELD
    assert operators.reconcile(lab.pool, "", "").lines == ("trader-a: the books are the venue's",)
    assert operators.reconcile(lab.pool, "balance", "guard").exit_code is ExitCode.REFUSED  # no person
    assert operators.clear_failsafe(lab.pool, "alice", []).lines == ("no host is in FAILSAFE",)
    found = operators.metrics(lab.pool, "guard", "guard_stage").document["metrics"]
    assert {host: page["guard"]["guard_stage"] for host, page in found.items()} == dict.fromkeys(GUARDED, 0.0)


def test_scenario_R_05_a_leader_that_is_restarted_leaves_nothing_unknown(lab: Lab) -> None:
    restarts = lab.restarts("trader-a")
    report = operators.restart(lab.pool, "trader", ["trader-a"])
    assert report.exit_code is ExitCode.HELD, report.lines
    took = eventually(lambda: lab.trades() and lab.well(), 60)
    print(f"R-05: trading {took:.1f} s after the restart")
    found = operators.metrics(lab.pool, "trader", "trader_order_unknown").document["metrics"]
    assert {host: page["trader"]["trader_order_unknown"] for host, page in found.items()} == {
        "trader-a": 0.0,
        "trader-b": 0.0,
    }
    assert lab.restarts("trader-a") == restarts  # it was ours, and the guard left it alone


def test_the_kill_switch_is_pulled_by_the_trader_or_by_the_guard_of_a_dead_one(lab: Lab) -> None:
    lab.sh("trader-b", "supervisorctl stop trader")
    try:
        report = operators.kill_switch(lab.pool, on=True, off=False, by="alice", reason="drill")
        assert report.exit_code is ExitCode.HELD, report.lines
        assert any("by the guard" in line for line in report.lines)
        assert "venue: open orders of the desk: 0" in report.lines
        began = time.time()
        assert lab.sh("trader-b", "cat /var/lib/trading/guard/STOP.TXT") == "kill switch by alice: drill"
        time.sleep(2)
        assert [t for t in lab.accepted() if t > began] == []
    finally:
        lab.sh("trader-b", "supervisorctl start trader")
        eventually(lambda: lab.get("trader-b", 8000, "/health"), 60)
        report = operators.kill_switch(lab.pool, on=False, off=True, by="alice", reason="")
    assert report.exit_code is ExitCode.HELD, report.lines
    assert lab.sh("trader-b", "ls /var/lib/trading/guard | grep -c STOP || true") == "0"
    orders, problem = read(lab.sh("ops", f"cat /var/lib/trading/{LOG}").encode())
    assert problem == ""
    said = [(o.by, o.phase, o.options.get("on", False), o.exit_code) for o in orders if o.task == "stack.kill-switch"][-4:]
    assert said == [
        ("alice", "ordered", True, None), ("alice", "done", True, 0), ("alice", "ordered", False, None), ("alice", "done", False, 0),
    ]  # fmt: skip


def test_a_kill_does_not_wait_for_a_trader_that_hangs(lab: Lab) -> None:
    """Its guard is asked before it would have been found dead, and cancels with its own key."""
    lab.sh("trader-a", "kill -STOP $(cat /run/trading/trader.pid)")
    try:
        began = time.monotonic()
        report = operators.kill_switch(lab.pool, on=True, off=False, by="alice", reason="drill")
        took_s = time.monotonic() - began
        assert report.exit_code is ExitCode.HELD, report.lines
        assert any(line.startswith("trader-a: pulled by the guard") for line in report.lines)
        assert took_s < PULL_S / 2
    finally:
        lab.sh("trader-a", "kill -CONT $(cat /run/trading/trader.pid)")
        eventually(lambda: lab.get("trader-a", 8000, "/health"), 60)
        report = operators.kill_switch(lab.pool, on=False, off=True, by="alice", reason="")
    assert report.exit_code is ExitCode.HELD, report.lines
    eventually(lambda: lab.trades() and lab.well(), 90)


def test_an_order_is_given_although_it_cannot_be_written_down(lab: Lab) -> None:
    folder = f"/var/lib/trading/{LOG.rpartition('/')[0]}"
    lab.sh("ops", f"[ ! -d {folder} ] || mv {folder} {folder}.aside; echo 'no folder' >{folder}")
    try:
        report = operators.reset_breakers(lab.pool, "")
        assert report.exit_code is ExitCode.HELD
        assert report.lines[-1].startswith("not in the operators' log: ")
    finally:
        lab.sh("ops", f"rm {folder}; [ ! -d {folder}.aside ] || mv {folder}.aside {folder}")


def test_an_abort_pauses_and_pulls_and_is_lifted_in_two_steps(lab: Lab) -> None:
    try:
        report = operators.abort(lab.pool, "alice", "drill")
        assert report.exit_code is ExitCode.HELD, report.lines
        began = time.time()
        assert operators.resume(lab.pool, "alice").exit_code is ExitCode.HELD
        time.sleep(2)
        assert [t for t in lab.accepted() if t > began] == []  # the kill switches are still on
    finally:
        operators.resume(lab.pool, "alice")
        report = operators.kill_switch(lab.pool, on=False, off=True, by="alice", reason="")
    assert report.exit_code is ExitCode.HELD, report.lines


def test_scenario_H_03_E_03_what_cannot_be_restarted_stops_the_host_until_a_person_clears_it(lab: Lab) -> None:
    """The other trader was taken away by hand, so nobody leads: the guard has to see to what rests at the venue."""
    lab.sh("trader-b", "supervisorctl stop trader")
    lab.sh("trader-a", "chmod 000 /etc/trading/trader.json; kill -KILL $(cat /run/trading/trader.pid)")
    try:
        took = eventually(lambda: lab.health("trader-a")["stage"] == "FAILSAFE", lab.gives_up_s)
        page = lab.health("trader-a")
        print(f"H-03: FAILSAFE after {took:.1f} s: {page['reason']}")
        eventually(lambda: (lab.health("trader-a")["pulled"] or {}).get("open_at_venue") == 0, 60)
        failsafe = time.time()
        folder = "/var/lib/trading/guard"
        assert json.loads(lab.sh("trader-a", f"cat {folder}/global_flags.json"))["SIGNAL_READ_ONLY"] is True
        assert "3 restarts did not help" in lab.sh("trader-a", f"cat {folder}/STOP.TXT")
        assert "FAILSAFE" in lab.sh("trader-a", f"cat {folder}/notifications.log")
        assert lab.restarts("trader-a") >= 3
        lab.sh("trader-a", "kill -KILL $(cat /run/trading/guard.pid)")  # it stays, whatever becomes of the guard
        eventually(lambda: lab.health("trader-a").get("stage") == "FAILSAFE", 60)
        eventually(
            lambda: "nobody answered trader-a:failsafe" in str(lab.state().get("reasons")),
            lab.numbers.orchestrator.answer_s + 30,
        )
    finally:
        lab.sh("trader-a", "chmod 600 /etc/trading/trader.json; supervisorctl start trader")
    eventually(lambda: lab.get("trader-a", 8000, "/health").get("leader", {}).get("is_leader"), 60)
    eventually(lambda: lab.health("trader-a")["failing_components"] == [], 60)
    time.sleep(3)
    assert [t for t in lab.accepted() if t > failsafe] == [], "an order in FAILSAFE"
    report = operators.clear_failsafe(lab.pool, "alice", [])
    assert report.exit_code is ExitCode.HELD, report.lines
    assert operators.resume(lab.pool, "alice").exit_code is ExitCode.HELD
    lab.sh("trader-b", "supervisorctl start trader")


def test_with_libfaketime_at_offset_0_they_watch_and_restart_as_without(lab: Lab) -> None:
    """Guards, orchestrator and prober. The other services, and clocks that step: test_stack_clock.py."""
    services = [*((host, "guard") for host in GUARDED), ("ops", "orchestrator"), ("ops", "prober")]
    try:
        for host, service in services:
            lab.sh(host, PRELOAD, f"/etc/supervisor/conf.d/{service}.conf")
            maps = f"grep -c libfaketime /proc/$(cat /run/trading/{service}.pid)/maps 2>/dev/null || true"
            eventually(lambda host=host, maps=maps: lab.sh(host, maps) not in ("", "0"), 20)
        lab.settled()
        before, restarts = lab.pid("feed", "feeder"), lab.restarts("feed")
        lab.sh("feed", f"kill -KILL {before}")
        eventually(lambda: lab.pid("feed", "feeder") != before, RTO_S["H_01"])
        lab.settled()
        assert lab.restarts("feed") == restarts + 1
        asked = "grep -c . /var/lib/trading/prober/*.jsonl"
        before = lab.sh("ops", asked)
        eventually(lambda: lab.sh("ops", asked) != before, 20)
    finally:
        for host, service in services:
            lab.sh(
                host,
                '[ ! -f "$1.was" ] || mv "$1.was" "$1"; supervisorctl update',
                f"/etc/supervisor/conf.d/{service}.conf",
            )


def test_after_all_of_it_no_order_is_lost(lab: Lab, tmp_path: Path) -> None:
    results = run_checks(lab.pool.inventory, lab.pool.run, ["invariants"], tmp_path)
    bad: Mapping[str, str] = {r.id: r.why for r in results if r.verdict is not Verdict.HELD}
    assert not bad
