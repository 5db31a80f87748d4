"""The age of evidence: which experiment is known least, and what gameday.list and gameday.next say of it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from stormdesk.cli import runbooks
from stormdesk.cli.runbooks import Entry
from stormdesk.core import journal
from stormdesk.core.age import MAX_AGE_S, Result, least_known
from stormdesk.run.results import last_results
from stormdesk.run.run_checks import write_reports
from tests.support.invoking import environ, run_all

NOW = 1_800_000_000.0
HOUR = 3600.0
RECORDED = Path(__file__).parents[1] / "cases" / "histories" / "disk-full" / "events.jsonl"


def held(hours: float, commit: str = "c1", verdict: str = "held", digest: str = "d") -> Result:
    return Result(f"r-{hours:g}", NOW - hours * HOUR, verdict, commit, digest)


@pytest.mark.parametrize(
    ("results", "name", "why"),
    [
        ({}, "a", "it was never run"),
        ({"a": held(1), "c": held(900, verdict="unknown")}, "b", "it was never run"),
        ({"a": held(900), "b": held(1, verdict="unknown"), "c": held(2)}, "b", "its last verdict is unknown: unknown on "),
        ({"a": held(1), "b": held(3, verdict="unknown"), "c": held(2, verdict="unknown")}, "b", "its last verdict is unknown"),
        ({"a": held(800), "b": held(2, digest="old"), "c": held(2)}, "b", "its runbook has changed since: held on "),
        ({"a": held(721), "b": held(722), "c": held(2, "c0")}, "b", "its result is 30 days old: held on "),
        ({"a": held(719), "b": held(3, "c0"), "c": held(2)}, "b", "was on c0, the desk now runs c1"),
        ({"a": held(1), "b": held(3, verdict="violated"), "c": held(2)}, "b", "all are known; its result is the oldest: violated on "),
        ({"a": held(1), "b": held(3, ""), "c": held(2)}, "b", "all are known; its result is the oldest"),
    ],
)
def test_the_one_that_is_known_least_comes_next(results: dict[str, Result], name: str, why: str) -> None:
    found = least_known(dict.fromkeys("abc", "d"), results, NOW)
    assert found is not None
    assert (found.name, why in found.reason) == (name, True), found
    assert MAX_AGE_S == 720 * HOUR
    assert least_known({}, results, NOW) is None


def named(name: str) -> Entry:
    """A runbook of ours."""
    return runbooks.chosen(name)[0]


def record(runs: Path, run: str, book: Entry, t: float, *, verdict: str = "held", code: str = "abcdef012345", ends: bool = True) -> Path:
    """A run directory as a run leaves it; `ends`: it came to its verdict."""
    folder = runs / run
    folder.mkdir(parents=True)
    start = {"event": "run.started", "fault": "noop", "environment": "e", "hosts": ["a"],
             "runbook": {"name": book.name, "path": str(book.path), "title": "t", "scenario": "", "hypothesis": "",
                         "digest": book.book.digest}}  # fmt: skip
    health = {"a": {"code": code}, "ops": {"orchestrator": {}}}
    events = [start, {"event": "sample", "phase": "steady", "metrics": None, "health": health}]
    end = {"event": "verdict", "verdict": verdict, "residue": "clean", "exit_code": 0, "why": "x"}
    events += [end] if ends else []
    lines = (journal.encode({"seq": seq, "t": t, "run": run, **event}) for seq, event in enumerate(events, 1))
    (folder / "events.jsonl").write_bytes(b"".join(lines))
    if ends:
        write_reports(folder)
    return folder


def test_the_last_run_of_each_runbook_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = tmp_path / "runs"
    monkeypatch.setenv("STORMDESK_RUNS", str(runs))
    assert last_results() == {}
    record(runs, "r-1", named("kill-feeder"), NOW - 9, verdict="violated")
    record(runs, "r-2", named("kill-feeder"), NOW - 5, code="fedcba543210")
    record(runs, "r-3", named("leader-loss"), NOW - 7, ends=False)
    shutil.copytree(RECORDED.parent, runs / "r-4")  # of no runbook
    (runs / "r-5").mkdir()
    (runs / "r-6").mkdir()
    (runs / "r-6" / "events.jsonl").write_bytes(b"{torn")
    found = last_results()
    assert set(found) == {"kill-feeder", "leader-loss"}
    feeder, leader = found["kill-feeder"], found["leader-loss"]
    assert (feeder.run, feeder.t, feeder.verdict, feeder.commit) == ("r-2", NOW - 5, "held", "fedcba543210")
    assert feeder.digest == named("kill-feeder").book.digest
    assert (leader.run, leader.verdict, leader.commit) == ("r-3", "unknown", "")


def test_list_and_next_say_it(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    names = [path.stem for path in runbooks.known()]
    for number, entry in enumerate(entry for path in runbooks.known()[1:] for entry in runbooks.entries(path)):
        record(runs, f"r-{number}", entry, NOW - number)
    env = environ(tmp_path) | {"STORMDESK_RUNS": str(runs)}
    listed, shown, soon, spoken = run_all([["gameday.list", "--json"], ["gameday.list"], ["gameday.next", "--json"], ["gameday.next"]], env)
    rows = {row["runbook"]: row for row in json.loads(listed.out)["runbooks"]}
    assert [rows[names[1]][key] for key in ("verdict", "when", "commit")] == ["held", "2027-01-15 08:00", "abcdef012345"]
    assert [rows[names[0]][key] for key in ("verdict", "when", "commit")] == [None] * 3
    assert "2027-01-15 08:00" in shown.out
    assert json.loads(soon.out) == {"runbook": names[0], "reason": "it was never run"}
    assert f"{names[0]}: it was never run" in spoken.out
    assert f"invoke gameday.run --runbook {names[0]}" in spoken.out
