"""Runs that end early, or continue without their controller."""

from __future__ import annotations

import contextlib
import shutil
import signal

import pytest

from tests.support.desk import Desk, eventually

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("tidy")]


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
