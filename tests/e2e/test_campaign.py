"""Runs of several lanes on a trading lab: faults that overlap, operators' tasks and signals beside them, one cut, one report."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from stormdesk.run.record import load
from stormdesk.run.run_checks import write_reports
from tests.support.desk import Desk, eventually
from tests.support.zygote import Process

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("tidy")]

BOOK = """# Three lanes
```yaml
title: Three lanes
scenario: lanes
hypothesis: Faults that overlap heal one by one, and nothing is lost
rto_s: 30
lanes:
  disk:
    - {{id: full, fault: disk-full, host: ops, for: {hold}, percent: 60%}}
    - {{id: again, fault: noop, host: ops, for: 1s}}
  process:
    - {{id: frozen, fault: process-pause, host: feed, service: feeder, for: 3s, after: {{step: full, edge: inject, plus: 1s}}}}
    - {{note: the feeder runs again}}
  people:
    - {{id: orders, act: stack.signal, with: {{signal: {signal}, count: "10"}}, after: {{step: frozen, edge: inject}}}}
    - {{id: look, pause: "Who noticed?", timeout: 5s}}
    - {{wait: 1s}}
checks: [I-01, I-02, I-03, I-04, I-05, I-13]
```
"""


def book(folder: Path, signal: str, hold: str = "12s") -> str:
    path = folder / "lanes.md"
    path.write_text(BOOK.format(signal=signal, hold=hold))
    return str(path)


def of(desk: Desk, run: str) -> list[dict[str, Any]]:
    return [dict(event) for event in load(desk.runs / run)]


def test_a_run_of_three_lanes_has_one_record_one_cut_and_one_report(desk: Desk, tmp_path: Path) -> None:
    done = desk.invoke("gameday.run", "--runbook", book(tmp_path, "lanes-1"))
    (ended,) = done["steps"]
    assert (ended["verdict"], ended["residue"]) == ("held", "clean"), ended["why"]
    events = of(desk, ended["run_id"])
    spans = {
        op: next(e["injected_t"] for e in events if e["event"] == name and e.get("op") == op)
        for name in ("S4.injected",)
        for op in ("full", "frozen", "again")
    }
    lifted = {e["op"]: e["lifted_t"] for e in events if e["event"] == "S8.verified"}
    assert spans["full"] < spans["frozen"] < lifted["frozen"] < lifted["full"] < spans["again"] < lifted["again"]
    assert lifted["full"] - spans["full"] == pytest.approx(12, abs=2)
    (acted,) = (e for e in events if e["event"] == "acted")
    assert acted["said"].startswith("DUPLICATE_SIGNAL: 9; ")
    assert "accepted: 1" in acted["said"]
    assert spans["frozen"] <= acted["t"] <= lifted["full"]
    assert [e["text"] for e in events if e["event"] == "note"] == ["Who noticed?", "the feeder runs again"]
    assert sum(e["event"] == "cut" for e in events) == 1
    plans = json.loads((desk.runs / ended["run_id"] / "plan.json").read_text())
    assert [plan["id"]["fault"] for plan in plans] == ["disk-full", "noop", "process-pause"]
    assert len({plan["id"]["run_id"] for plan in plans}) == 3
    report = (desk.runs / ended["run_id"] / "report.html").read_text()
    assert all(name in report for name in ("full", "frozen", "again", "disk-full", "process-pause"))


@pytest.fixture
def lanes(desk: Desk, tmp_path: Path) -> tuple[Process, str]:
    """A run in which two faults are in."""
    process = desk.start("gameday.run", "--runbook", book(tmp_path, f"lanes-{os.urandom(3).hex()}", "20s"))
    run = desk.run_started_by(process)
    eventually(lambda: {e.get("op") for e in of(desk, run) if e["event"] == "S6.hold"} == {"full", "frozen"}, 60)
    return process, run


def test_ctrl_c_heals_all_lanes(desk: Desk, lanes: tuple[Process, str]) -> None:
    process, run = lanes
    process.send_signal(signal.SIGINT)
    desk.end(process, 4)
    ends = {e["op"]: e["clean"] for e in of(desk, run) if e["event"] == "S8.verified"}
    assert ends == {"full": True, "frozen": True}
    assert not desk.records()


@pytest.mark.parametrize("after_s", [0.0, 0.8, 1.2, 1.6, 2.0])
def test_ctrl_c_at_any_moment_of_the_start_leaves_nothing_that_comes_later(
    desk: Desk, tmp_path: Path, after_s: float
) -> None:
    """The inject of a lane may be under way in a thread: it ends before the run does, or never begins."""
    process = desk.start("gameday.run", "--runbook", book(tmp_path, f"lanes-{os.urandom(3).hex()}"))
    desk.reached(desk.run_started_by(process), "run.started")
    time.sleep(after_s)
    process.send_signal(signal.SIGINT)
    desk.end(process, 4)
    assert not desk.records()
    time.sleep(1)
    assert not desk.records()


def test_a_killed_run_leaves_clean_hosts_and_a_readable_report(desk: Desk, lanes: tuple[Process, str]) -> None:
    process, run = lanes
    process.kill()
    process.communicate()
    eventually(lambda: set(states(desk)) <= {"REVERTED"}, 60)
    done = desk.invoke("chaos.recover")
    assert {found["run"] for found in done["runs"]} <= {f"{run}a", f"{run}c"}
    assert not desk.records()
    write_reports(desk.runs / run)
    assert "the record ends before the verdict" in (desk.runs / run / "report.html").read_text()


def states(desk: Desk) -> list[str]:
    said = desk.invoke("chaos.status")
    return [found["state"] for host in said["hosts"].values() for found in host.get("runs", [])]
