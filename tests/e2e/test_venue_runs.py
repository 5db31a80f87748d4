"""Whole runs of the venue's own faults, as users start them, on a trading lab."""

from __future__ import annotations

import hmac
import json
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import pytest

from stormdesk.cli.commands import exported
from stormdesk.cli.options import Options
from stormdesk.run.record import load
from tests.e2e import stack_harness
from tests.support.desk import STEPS, Desk, eventually, sat_at

pytestmark = pytest.mark.lab
BASE = "http://10.77.0.11:8081"


@pytest.fixture(scope="module")
def desk(brisk_lab: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with sat_at(brisk_lab, tmp_path_factory.mktemp("runs")) as desk:
        yield desk


def lines(desk: Desk, run: str) -> list[dict[str, Any]]:
    """The venue's FAULT lines in the cut of a run."""
    raw = (desk.runs / run / "outputs/cut/venue.jsonl").read_text().splitlines()
    return [line for line in map(json.loads, raw) if line["kind"] == "FAULT"]


def is_in(desk: Desk, run: str) -> bool:
    """Has the venue the fault of that run?"""
    return bool(json.loads(desk.sh("venue", f"curl -s {BASE}/faults/{run}"))["on"])


def abandoned(desk: Desk, *options: str) -> str:
    """A run that delays every answer, whose controller was killed while it held."""
    process = desk.start("venue.delay", "--by", "50ms", "--share", "100", *options)
    run = desk.run_started_by(process)
    desk.reached(run, "S6.hold")
    process.kill()
    process.communicate()
    return run


def test_scenario_E_08_the_runbook_of_lost_answers_holds(desk: Desk) -> None:
    done = desk.invoke("gameday.run", "--runbook", "lost-answers")
    run = done["steps"][0]["run_id"]
    began, over = lines(desk, run)[-2:]
    assert (began["name"], began["on"], began["seed"], began["params"]["share"]) == ("drop-response", True, 7, "33")
    assert (over["on"], over["hits"] >= 3) == (False, True)
    said = load(desk.runs / run)
    assert [event["event"] for event in said if event["event"] in STEPS] == STEPS
    assert next(e["witness"] for e in said if e["event"] == "S5.confirmed").endswith("hits so far")
    assert next(e["hits"] for e in said if e["event"] == "S8.verified") == over["hits"]


def signed(guest: Mapping[str, str], rest: str, **params: str) -> str:
    """The URL of an order as Binance wants it signed."""
    query = urlencode({**params, "timestamp": int(time.time() * 1000)})
    return f"{rest}/api/v3/order?{query}&signature={hmac.new(guest['api_secret'].encode(), query.encode(), 'sha256').hexdigest()}"


def test_a_bot_from_outside_trades_through_a_tunnel_and_no_invariant_asks_for_its_orders(
    desk: Desk, tmp_path: Path
) -> None:
    guest, port = desk.invoke("venue.guest"), stack_harness.free_port()
    config = tmp_path / "hosts.ssh"
    config.write_text(exported(Options(desk.name), "ssh-config"))
    assert guest["tunnel"].startswith(
        "invoke env.export >hosts.ssh && ssh -F hosts.ssh -N -L 8080:127.0.0.1:8080 venue"
    )
    tunnel = subprocess.Popen(["ssh", "-F", str(config), "-N", "-L", f"{port}:127.0.0.1:8080", "venue"])
    try:
        stack_harness.eventually("the tunnel", lambda: stack_harness.answers(port), 10)
        buy = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.01"}
        url = signed(guest, f"http://127.0.0.1:{port}", **buy)
        request = Request(url, method="POST", headers={"X-MBX-APIKEY": guest["api_key"]})  # noqa: S310  loopback
        with urlopen(request, timeout=5) as answer:  # noqa: S310
            assert json.load(answer)["status"] == "FILLED"
    finally:
        tunnel.terminate()
        tunnel.wait(5)
    checks = desk.invoke("check.invariants")["checks"]
    assert {check["verdict"] for check in checks} == {"held"}
    assert "3 accounts" in next(check["why"] for check in checks if check["id"] == "I-14")


def test_a_fault_without_hits_proves_nothing(desk: Desk) -> None:
    """Nobody here uses listen keys."""
    done = desk.invoke("venue.listen-key-expiry", "--for", "2s", code=5)
    assert (done["verdict"], done["residue"]) == ("unknown", "clean")
    assert "no hits:" in done["why"]


def test_when_the_controller_dies_the_fault_ends_by_itself(desk: Desk) -> None:
    run = abandoned(desk, "--for", "5s", "--ttl", "10s")
    assert is_in(desk, run)
    eventually(lambda: not is_in(desk, run), 20)
    found = eventually(lambda: [r for r in desk.records().get("venue", []) if r["state"] == "REVERTED"], 20)
    assert [(r["run"], r["reverted_by"]) for r in found] == [(run, "watchdog")]
    desk.invoke("chaos.recover")


def test_the_host_alone_can_revert_the_fault(desk: Desk) -> None:
    run = abandoned(desk, "--for", "120s")
    done = desk.invoke("chaos.revert", "--all")
    assert [(r["run"], r["clean"]) for r in done["runs"]] == [(run, True)]
    assert not is_in(desk, run)


def test_a_venue_that_is_not_there_has_no_fault(desk: Desk) -> None:
    """The venue dies with its fault in: what it had in memory is gone, so the undo holds; then it is refused, not begun."""
    run = abandoned(desk, "--for", "120s")
    desk.sh("venue", "supervisorctl stop venue")
    try:
        refused = desk.invoke("venue.freeze", "--for", "2s", "--allow-unsteady", code=3)
        assert "the venue does not answer" in refused["stderr"]
    finally:
        desk.sh("venue", "supervisorctl start venue")
    eventually(lambda: desk.sh("venue", f"curl -s {BASE}/health").startswith('{"ok":true'), 20)
    assert [r["clean"] for r in desk.invoke("chaos.revert", "--all")["runs"]] == [True]
    assert "no such fault" in desk.sh("venue", f"curl -s {BASE}/faults/{run}")
