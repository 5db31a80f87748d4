"""Whole runs as users start them: `invoke chaos.*` on a trading lab. Records are read from their files."""

from __future__ import annotations

import json
import signal
import time

import pytest

from tests.support.desk import STEPS, Desk, events
from tests.unit import schemas

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("tidy")]


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
