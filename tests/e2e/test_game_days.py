"""Game days on a trading lab: what they need, their variants and suites, the times that they demand, and what stops them early."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from stormdesk.cli import runbooks
from tests.support.desk import Desk, events, eventually

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("tidy")]


def book(folder: Path, name: str, *lines: str) -> str:
    path = folder / f"{name}.md"
    path.write_text("\n".join(["```yaml", f"title: {name}", "rto_s: 30", *lines, "```"]))
    return str(path)


NOOP = "steps: [{id: nothing, fault: noop, host: ops, for: 1s}]"


def test_a_runbook_whose_needs_are_not_met_was_not_run(desk: Desk, tmp_path: Path) -> None:
    path = book(tmp_path, "bus", "needs: {stack: full}", NOOP)
    done = desk.invoke("gameday.run", "--runbook", path, code=3)
    assert done["error"].startswith(f"bus was not run: it needs the stack full, and {desk.name} has no kafka")
    assert not list(desk.runs.glob("r-*"))


def test_variants_run_one_after_the_other_and_what_lacks_is_told_apart(desk: Desk, tmp_path: Path) -> None:
    matrix = "matrix: [{bus: redis, scenario: X-1}, {bus: kafka, scenario: X-2}]"
    path = book(tmp_path, "each", matrix, 'needs: {services: ["${bus}"]}', NOOP)
    done = desk.invoke("gameday.run", "--runbook", path)
    found = [(run["runbook"], run["scenarios"], run["result"]) for run in done["runs"]]
    assert found == [("each[redis]", ["X-1"], "held"), ("each[kafka]", ["X-2"], "not run")]
    assert "has no kafka" in done["runs"][1]["why"]
    assert [step["run_id"] for step in done["steps"]] == [done["runs"][0]["run"]]
    alone = desk.invoke("gameday.run", "--runbook", f"{path}[kafka]", code=3)
    assert alone["error"].startswith("each[kafka] was not run: ")


@pytest.mark.parametrize(("within", "code"), [("8s", 0), ("10ms", 1)])
def test_the_times_that_a_runbook_demands_are_measured_and_judged(
    desk: Desk, tmp_path: Path, within: str, code: int
) -> None:
    """A feeder that is stopped for a while: the trader says so, and no order is accepted until quotes are fresh again."""
    path = book(
        tmp_path, "frozen", "steps: [{id: frozen, fault: process-pause, host: feed, service: feeder, for: 12s}]",
        "expect:", "  detect: {health: trader-a, within: 12s}", "  dor: {health: trader-a, within: 20s}",
        f"  recovered: {{within: {within}, after: lift}}",
    )  # fmt: skip
    done = desk.invoke("gameday.run", "--runbook", path, code=code)
    (said,) = (e for e in events(desk, done["steps"][0]["run_id"]) if e["event"] == "expectations" and e.get("goals"))
    goals = {goal["kind"]: goal for goal in said["goals"]}
    assert set(goals) == {"detect", "dor", "recovered"}
    assert 0 < goals["detect"]["took_s"] <= 12
    assert goals["recovered"]["took_s"] is not None
    assert goals["recovered"]["verdict"] == ("held" if code == 0 else "violated")
    assert goals["recovered"]["from"] > goals["detect"]["from"] + 11
    if code:
        assert "recovered: within 0.01 s of the lift violated: after " in done["steps"][0]["why"]


def test_a_condition_that_is_met_ends_the_run_and_heals(desk: Desk, tmp_path: Path) -> None:
    steps = "steps: [{fault: noop, host: ops, for: 90s}, {fault: noop, host: ops, for: 1s}]"
    path = book(tmp_path, "early", steps, "stop_when: [{metric: accepted, grows_by: 60}]")
    done = desk.invoke("gameday.run", "--runbook", path, code=4)
    (ended,) = done["steps"]
    assert (ended["verdict"], ended["residue"], ended["by_signal"]) == ("unknown", "clean", False)
    assert ended["why"] == "stopped by stop_when: metric accepted grows by 60.0"
    found = events(desk, ended["run_id"])
    (note,) = (e for e in found if e["event"] == "note")
    assert (note["who"], note["text"]) == ("stop_when", "stop_when: metric accepted grows by 60.0")
    assert len([e for e in found if e["event"] == "S4.injected"]) == 1
    assert next(e["t"] for e in found if e["event"] == "S7.revert") - note["t"] < 2
    assert not desk.records()


def test_a_shut_window_is_a_refusal_and_the_plan_says_so(desk: Desk, tmp_path: Path) -> None:
    soon = time.gmtime(time.time() + 7200)
    path = book(tmp_path, "later", f"windows: ['{soon.tm_hour:02}:00-{soon.tm_hour:02}:01']", NOOP)
    before = len(list(desk.runs.glob("r-*")))
    assert "outside its windows: " in desk.invoke("gameday.run", "--runbook", path, code=3)["error"]
    done = desk.invoke("gameday.plan", "--runbook", path)
    assert "it would be refused now: outside its windows: " in done["stderr"]
    assert len(done["steps"][0]["plans"]) == 1
    asked = desk.invoke("gameday.run", "--runbook", path, "--confirm", code=2)
    assert asked["error"].startswith("--confirm asks on a terminal")
    assert len(list(desk.runs.glob("r-*"))) == before


def test_the_plan_of_a_whole_suite_touches_nothing_and_passes_nothing(desk: Desk) -> None:
    """The environment is the tests' own: what cannot be undone is planned, too, and all of a role at once."""
    before = len(list(desk.runs.glob("r-*")))
    done = desk.invoke("gameday.plan", "--suite", "nightly", "--allow-irreversible", "--allow-role-share", "100")
    results = {run["runbook"]: run["result"] for run in done["runs"]}
    assert {name for name, result in results.items() if result != "planned"} == {
        entry.name for path in runbooks.known() for entry in runbooks.entries(path) if entry.book.needs.stack == "full"
    }
    assert {result for result in results.values() if result != "planned"} == {"not run"}
    assert len(done["steps"]) == list(results.values()).count("planned") > 100
    assert len(list(desk.runs.glob("r-*"))) == before
    assert not desk.records()


@pytest.mark.parametrize("limit", [["--allow-irreversible"], ["--allow-role-share", "100"]])
def test_a_limit_is_lifted_by_the_flag_of_its_name_alone(desk: Desk, tmp_path: Path, limit: list[str]) -> None:
    cut = "steps: [{fault: power-cut, host: trader-a, for: 1s}]"
    both = 'steps: [{fault: noop, host: "trader-a,trader-b", for: 1s}]'
    path = book(tmp_path, "limited", cut if limit == ["--allow-irreversible"] else both)
    assert limit[0] in desk.invoke("gameday.plan", "--runbook", path, code=3)["error"]
    assert limit[0] in desk.invoke("gameday.run", "--runbook", path, code=3)["error"]
    desk.invoke("gameday.plan", "--runbook", path, *limit)


class Project:
    """A project of one's own with a suite of two runbooks."""

    def __init__(self, desk: Desk, folder: Path) -> None:
        (folder / "days").mkdir()
        (folder / "invoke.yaml").write_text("stormdesk: {runbooks: [days]}\n")
        (folder / "tasks.py").write_text("from stormdesk.tasks import ns\n")
        book(folder / "days", "first", "tags: [mine]", NOOP)
        book(folder / "days", "second", "tags: [mine]", NOOP.replace("1s", "8s"))
        self.folder = folder
        self.runs = folder / "runs"
        self.environ = {**os.environ, "STORMDESK_ENV": desk.name, "STORMDESK_RUNS": str(self.runs)}

    def start(self, *words: str) -> subprocess.Popen[str]:
        argv = [sys.executable, "-m", "invoke", "gameday.run", "--suite", "mine", *words, "--json"]
        return subprocess.Popen(
            argv, cwd=self.folder, env=self.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def second_is_in(self) -> bool:
        found = [path.parent for path in self.runs.glob("r-*/events.jsonl")]
        return len(found) == 2 and any(
            "second" in text and "S6.hold" in text for text in ((path / "events.jsonl").read_text() for path in found)
        )


def test_a_suite_that_was_stopped_goes_on_where_it_stopped(desk: Desk, tmp_path: Path) -> None:
    project = Project(desk, tmp_path)
    process = project.start()
    eventually(lambda: project.second_is_in() or process.poll() is not None, 120)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 4, err
    assert "1 of 2: first" in err
    assert "1 left after it" in err
    done = json.loads(out)
    assert ([run["runbook"] for run in done["runs"]], done["left"]) == (["first"], ["second"])
    assert not desk.records()
    process = project.start("--resume")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    again = json.loads(out)
    assert [(run["runbook"], run["result"]) for run in again["runs"]] == [("first", "held"), ("second", "held")]
    assert (again["runs"][0], again["seed"], again["left"]) == (done["runs"][0], done["seed"], [])
    process = project.start("--resume")
    out, err = process.communicate(timeout=60)
    assert (process.returncode, json.loads(out)["steps"]) == (0, [])
