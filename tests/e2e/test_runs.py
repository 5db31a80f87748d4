"""Whole runs, as people start them: `invoke chaos.*` on a lab that trades. What is in a record is read from its files."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from stormdesk.infra import dialing, existing
from stormdesk.run.record import load
from stormdesk.ssh.pool import Pool
from tests.e2e.invoking import ROOT
from tests.unit import schemas

pytestmark = pytest.mark.lab

STEPS = [
    "S1.intent",
    "S2.armed",
    "S3.acknowledged",
    "S4.injected",
    "S5.confirmed",
    "S6.hold",
    "S7.revert",
    "S8.verified",
    "S9.cleared",
]


class Desk:
    """A lab that trades, and `invoke` on it."""

    def __init__(self, name: str, runs: Path) -> None:
        self.name = name
        self.runs = runs
        inventory = existing.load(name)
        self.pool = Pool(inventory, dialing.dialer(inventory))
        self.started: list[subprocess.Popen[str]] = []

    def start(self, task: str, *words: str) -> subprocess.Popen[str]:
        env = {**os.environ, "STORMDESK_RUNS": str(self.runs), "STORMDESK_ENV": self.name}
        process = subprocess.Popen(
            [sys.executable, "-m", "invoke", task, *words, "--json"],
            cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        self.started.append(process)
        return process

    def invoke(self, task: str, *words: str, code: int = 0) -> dict[str, Any]:
        return self.end(self.start(task, *words), code)

    @staticmethod
    def end(process: subprocess.Popen[str], code: int, within_s: float = 150) -> dict[str, Any]:
        out, err = process.communicate(timeout=within_s)
        assert process.returncode == code, f"{process.args}: exit {process.returncode}, not {code}\n{out}\n{err}"
        assert "Traceback" not in err
        document: dict[str, Any] = json.loads(out) if out.strip() else {}
        return {**document, "stderr": err}

    def run_started_by(self, process: subprocess.Popen[str]) -> str:
        """The id of the run that a started task is in, once it has one."""

        def mine() -> str:
            for events in self.runs.glob("*/events.jsonl"):
                with contextlib.suppress(IndexError, KeyError):
                    if load(events.parent)[0]["controller"]["pid"] == process.pid:
                        return events.parent.name
            return ""

        return str(eventually(mine, 20))

    def reached(self, run: str, event: str) -> None:
        """Wait until the run has written that event."""
        eventually(lambda: event in [e["event"] for e in load(self.runs / run)], 60)

    def status(self, code: int = 0) -> dict[str, Any]:
        return self.invoke("chaos.status", code=code)

    def records(self) -> dict[str, list[dict[str, Any]]]:
        hosts = self.status()["hosts"]
        return {name: host["runs"] for name, host in hosts.items() if host.get("runs")}

    def sh(self, host: str, text: str) -> str:
        return self.pool.run(host, ("sh", "-c", text), 20).stdout.strip()


def eventually(ask: Callable[[], Any], within_s: float) -> Any:
    """The first true answer; fails after `within_s`."""
    until = time.monotonic() + within_s
    while not (answer := ask()):
        assert time.monotonic() < until, f"not within {within_s} s"
        time.sleep(0.05)
    return answer


@pytest.fixture(scope="module")
def desk(lab: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    desk = Desk(lab, tmp_path_factory.mktemp("runs"))
    with desk.pool:
        yield desk
    assert desk.records() == {}


@pytest.fixture(autouse=True)
def tidy(desk: Desk) -> Iterator[None]:
    """A test that fails in the middle leaves nothing to the next one."""
    yield
    left = [process for process in desk.started if process.poll() is None]
    for process in left:
        process.kill()
        process.communicate()
    desk.started.clear()
    if left:
        desk.invoke("chaos.halt")
        desk.invoke("chaos.halt", "--lift")


def events(desk: Desk, run: str) -> list[dict[str, Any]]:
    return [dict(event) for event in load(desk.runs / run)]


# ---- the three faults --------------------------------------------------------------------------------------------------


def test_disk_full_refuses_orders_and_loses_none(desk: Desk) -> None:
    done = desk.invoke("chaos.disk-full", "--host", "trader-a", "--percent", "100", "--for", "20s")
    run = done["run_id"]
    said = events(desk, run)
    assert [e["event"] for e in said if e["event"] in STEPS] == STEPS
    assert (done["verdict"], done["residue"]) == ("held", "clean")
    witness = next(e for e in said if e["event"] == "S5.confirmed")["witness"]
    assert "No space left on device" in witness
    checks = {check["id"]: check for e in said if e["event"] == "checks" for check in e["checks"]}
    assert set(checks) >= {"I-01", "I-02", "I-03", "I-04", "I-05", "I-09", "I-13", "refusals"}
    assert {check["verdict"] for check in checks.values()} == {"held"}
    rows = [json.loads(line) for line in (desk.runs / run / "outputs/cut/orders.jsonl").read_text().splitlines()]
    refused = [row for row in rows if row["state"] == "REJECTED" and "No space left on device" in (row["reason"] or "")]
    assert len(refused) >= 20
    journal = (desk.runs / run / "outputs/cut/venue.jsonl").read_text()
    assert not [row for row in refused if row["client_order_id"] in journal]
    for name in ("report.html", "summary.md", "scorecard.json", "junit.xml", "plan.json"):
        assert (desk.runs / run / name).stat().st_size > 100, name
    mistakes, seen = schemas.mistakes_below(desk.runs / run)
    assert mistakes == []
    assert seen >= {"events.jsonl", "plan.json", "scorecard.json", "journal.jsonl", "ledger.jsonl", "md.jsonl"}
    assert {name for name in (*schemas.WRITTEN, *schemas.READ) if name.startswith("cut-")} <= seen | {
        "cut-quarantine.jsonl"
    }


def test_adapter_down_on_the_ssh_interface_ends_as_planned(desk: Desk) -> None:
    done = desk.invoke("chaos.adapter-down", "--host", "trader-a", "--network", "mgmt", "--for", "5s")
    verified = next(e for e in events(desk, done["run_id"]) if e["event"] == "S8.verified")
    assert (verified["reverted_by"], verified["clean"]) == ("watchdog", True)
    assert verified["lateness_ms"] <= 3000


def test_scenario_E_21_a_full_disk_under_postgresql_and_redis_loses_nothing(desk: Desk) -> None:
    done = desk.invoke("chaos.disk-full", "--host", "store", "--for", "12s")
    assert (done["verdict"], done["residue"]) == ("held", "clean")


def test_process_kill_is_healed_by_the_guard(desk: Desk) -> None:
    before = desk.sh("trader-a", "supervisorctl pid trader")
    desk.invoke("chaos.process-kill", "--host", "trader-a", "--service", "trader", "--for", "8s")
    assert desk.sh("trader-a", "supervisorctl pid trader") != before


def test_a_service_that_nobody_starts_is_started_by_us_and_that_is_a_violation(desk: Desk) -> None:
    """The manager is told to leave it stopped, so that only the undo can bring it back."""
    process = desk.start(
        "chaos.process-kill", "--host", "ops", "--service", "prober", "--for", "6s", "--rto", "3s"
    )  # fmt: skip
    run = desk.run_started_by(process)
    desk.reached(run, "S6.hold")
    desk.sh("ops", "supervisorctl stop prober")
    done = desk.end(process, 1)
    assert done["verdict"] == "violated"
    assert "we did" in done["why"]


def test_repeated_kills_end_with_the_hold(desk: Desk) -> None:
    done = desk.invoke(
        "chaos.process-kill", "--host", "feed", "--service", "feeder", "--for", "7s", "--repeat", "2s"
    )  # fmt: skip
    assert done["residue"] == "clean"
    pid = desk.sh("feed", "supervisorctl pid feeder")
    time.sleep(3)
    assert desk.sh("feed", "supervisorctl pid feeder") == pid


# ---- leaving early -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_reverts_and_ends_with_4(desk: Desk, number: signal.Signals) -> None:
    process = desk.start("chaos.disk-full", "--host", "trader-b", "--for", "60s", "--allow-unsteady")
    run = desk.run_started_by(process)
    desk.reached(run, "S6.hold")
    process.send_signal(number)
    done = desk.end(process, 4, within_s=20)
    assert done["residue"] == "clean"
    assert desk.sh("trader-b", "ls -A /var/lib/trading | grep stormdesk") == ""


def test_a_second_signal_leaves_at_once_and_the_host_heals_by_itself(desk: Desk) -> None:
    process = desk.start("chaos.adapter-down", "--host", "trader-b", "--network", "mgmt", "--for", "8s")
    run = desk.run_started_by(process)
    desk.reached(run, "S6.hold")
    process.send_signal(signal.SIGINT)
    desk.reached(run, "S7.revert")
    process.send_signal(signal.SIGINT)
    done = desk.end(process, 5, within_s=5)
    assert "heal by itself within" in done["why"]
    desk.pool.drop("trader-b")
    desk.pool.reconnect("trader-b", 8 + 5)
    found = eventually(lambda: [r for r in desk.records().get("trader-b", []) if r["state"] == "REVERTED"], 5)
    assert [(r["run"], r["reverted_by"]) for r in found] == [(run, "watchdog")]
    desk.invoke("chaos.recover")


# ---- without the controller --------------------------------------------------------------------------------------------


def test_everything_is_reverted_from_the_hosts_alone(desk: Desk) -> None:
    process = desk.start("chaos.disk-full", "--host", "trader-b", "--for", "120s", "--allow-unsteady")
    run = desk.run_started_by(process)
    desk.reached(run, "S6.hold")
    process.kill()
    process.communicate()
    shutil.rmtree(desk.runs / run)
    assert [r["state"] for r in desk.records()["trader-b"]] == ["CONFIRMED"]
    done = desk.invoke("chaos.revert", "--all")
    assert [(r["run"], r["clean"]) for r in done["runs"]] == [(run, True)]
    assert desk.sh("trader-b", "ls -A /var/lib/trading | grep stormdesk") == ""


def test_a_reboot_takes_a_full_disk_with_it(desk: Desk) -> None:
    process = desk.start("chaos.disk-full", "--host", "ops", "--for", "15s", "--allow-unsteady")
    run = desk.run_started_by(process)
    desk.reached(run, "S6.hold")
    with contextlib.suppress(Exception):
        desk.sh("ops", "reboot -f")
    desk.pool.drop("ops")
    eventually(lambda: "boot" in {r["reverted_by"] for r in desk.records().get("ops", [])}, 20)
    desk.pool.reconnect("ops", 10)
    assert desk.sh("ops", "ls -A /var/lib/trading | grep stormdesk") == ""
    done = desk.end(process, 4)
    assert "reverted by boot" in done["why"]
    assert desk.sh("ops", "ls /var/lib/stormdesk /etc/stormdesk/boot 2>/dev/null") == ""


# ---- no ------------------------------------------------------------------------------------------------------------------


def test_halt_refuses_new_faults_until_it_is_lifted(desk: Desk) -> None:
    process = desk.start(
        "chaos.adapter-down", "--host", "trader-b", "--network", "market", "--for", "60s", "--allow-unsteady"
    )
    run = desk.run_started_by(process)
    desk.reached(run, "S6.hold")
    began = time.monotonic()
    done = desk.invoke("chaos.halt")
    assert time.monotonic() - began < 10
    assert [r["run"] for r in done["runs"]] == [run]
    process.send_signal(signal.SIGINT)
    desk.end(process, 4, within_s=20)
    refused = desk.invoke("chaos.disk-full", "--host", "trader-b", "--for", "5s", code=3)
    assert "halted" in refused["stderr"]
    desk.invoke("chaos.halt", "--lift")
    assert desk.records() == {}


@pytest.mark.parametrize(
    ("change", "restore", "expected"),
    [
        ("touch /etc/stormdesk.production", "rm /etc/stormdesk.production", "production"),
        ("mv /etc/stormdesk.target /etc/kept", "mv /etc/kept /etc/stormdesk.target", "no /etc/stormdesk.target"),
        (
            "sed -i.kept 's/test-/other-/' /etc/stormdesk.target", "mv /etc/stormdesk.target.kept /etc/stormdesk.target",
            "belongs to environment",
        ),
    ],
)  # fmt: skip
def test_a_host_that_is_not_a_target_is_refused(desk: Desk, change: str, restore: str, expected: str) -> None:
    desk.sh("ops", change)
    try:
        refused = desk.invoke("chaos.adapter-down", "--host", "ops", "--network", "core", "--for", "5s", code=3)
    finally:
        desk.sh("ops", restore)
    assert expected in refused["stderr"]
    assert "Nothing was changed" in refused["stderr"]


def test_more_of_a_role_than_a_third_needs_to_be_allowed(desk: Desk) -> None:
    words = ("--host", "trader-a,trader-b", "--network", "core", "--for", "5s", "--allow-unsteady")
    assert "--allow-role-share" in desk.invoke("chaos.adapter-down", *words, code=3)["stderr"]
    process = desk.start("chaos.adapter-down", *words, "--allow-role-share", "100")
    run = desk.run_started_by(process)
    assert desk.end(process, 0)["residue"] == "clean"
    order = [e["event"] for e in events(desk, run) if e["event"] in ("S3.acknowledged", "S4.injected")]
    assert order == ["S3.acknowledged"] * 2 + ["S4.injected"] * 2


def test_a_plan_hash_holds_the_run_to_its_plan(desk: Desk) -> None:
    words = ("--host", "ops", "--network", "core", "--for", "5s")
    planned = desk.invoke("chaos.adapter-down", *words, "--plan")
    assert planned["plans"][0]["change"]["steps"][0]["do"] == ["ip", "link", "set", "dev", "eth1", "down"]
    assert "the plan is not" in desk.invoke("chaos.adapter-down", *words, "--plan-hash", "0" * 12, code=3)["stderr"]
    assert desk.records() == {}


def test_two_runs_on_one_resource_and_two_on_one_host(desk: Desk) -> None:
    """The same file system: refused while it is taken. Another resource of the same host: both, and both verify."""
    first = desk.start("chaos.disk-full", "--host", "ops", "--percent", "60", "--for", "100s")
    desk.reached(desk.run_started_by(first), "S6.hold")
    refused = desk.invoke("chaos.disk-full", "--host", "ops", "--percent", "70", "--for", "5s", code=3)
    assert "is taken by run" in refused["stderr"]
    second = desk.invoke("chaos.adapter-down", "--host", "ops", "--network", "core", "--for", "3s")
    assert second["residue"] == "clean"  # the first is in, and is no residue of this one
    first.send_signal(signal.SIGINT)
    assert desk.end(first, 4, within_s=20)["residue"] == "clean"


# ---- game days, repeated -------------------------------------------------------------------------------------------------


def test_the_network_cut_runbook_holds(desk: Desk) -> None:
    desk.invoke("gameday.run", "--runbook", "runbooks/network-cut-60s.md")


def test_idle_fingerprints_do_not_differ(desk: Desk, repeats: Callable[[int], int]) -> None:
    """The stack trades between two looks; nothing that is compared may move by itself."""
    from stormdesk.host import library
    from stormdesk.host.scripts import host_scripts

    look = library.core(host_scripts()) + "SD_FILES=\nsd_fingerprint | sort\n"
    for host in desk.pool.inventory.hosts:
        first = desk.pool.script(host, f"( {look} ) </dev/null", 20).stdout
        assert len(first.splitlines()) > 100
        for _ in range(repeats(20)):
            time.sleep(0.2)
            assert desk.pool.script(host, f"( {look} ) </dev/null", 20).stdout == first


def test_checks_raise_no_alarm_on_a_healthy_stack(desk: Desk, repeats: Callable[..., int]) -> None:
    for _ in range(repeats(100, 3)):
        desk.invoke("check.all")
