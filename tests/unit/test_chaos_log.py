"""evidence.log: the keys of the seed's chaos scripts, from what a run saw."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from stormdesk.core.journal import Event, read
from stormdesk.evidence import report
from stormdesk.run.run_checks import CHAOS, write_reports

RECORDED = Path(__file__).parents[1] / "cases" / "histories" / "disk-full" / "events.jsonl"
SEED = """leader_lock_chaos_test,2025-11-13T14-30-00
leader_before,1
leader_after_stop,0
leader_after_recovery,1
ready_before,ready
ready_after_stop,not_ready
ready_after_recovery,ready
scan_hb,1.2
order_hb,0.8
md_hb,0.5
"""
T = 1763044200.25  # 2025-11-13T14:30:00Z


def sample(phase: str, leaders: int | None, *, ready: bool = True, **beats: float) -> Event:
    metrics = None if leaders is None else {"leaders": float(leaders), "ready": float(ready), "accepted": 4.0}
    leading: dict[str, Any] = {"leader": {"is_leader": True}, "heartbeats": beats}
    health = {"trader-b": {"leader": {"is_leader": False}, "heartbeats": {"scan": 99.0}}, "trader-a": leading}
    return {"event": "sample", "t": T + 2, "phase": phase, "metrics": metrics, "health": health}


def leader_lock(exit_code: int = 0) -> list[Event]:
    """The run that the seed's example is about."""
    verdict = {0: "held", 1: "violated"}.get(exit_code, "unknown")
    return [
        {"event": "run.started", "t": T, "run": "r-1", "fault": "process-kill", "environment": "dev, old", "hosts": ["store"],
         "runbook": {"path": "books/leader-lock.md"}},
        sample("steady", 1, scan=0.1),
        sample("hold", 1), sample("hold", None), sample("hold", 0, ready=False), sample("hold", 1),
        sample("recover", 0, ready=False), sample("recover", 1, scan=1.2, order=0.8, md=0.5),
        {"event": "recovered", "t": T + 9, "took_s": 4.5, "budget_s": 90.0, "from": T + 4, "why": ""},
        {"event": "verdict", "t": T + 9, "verdict": verdict, "residue": "clean", "exit_code": exit_code, "why": "x"},
    ]  # fmt: skip


def test_a_run_of_the_leaders_lock_gives_the_lines_of_the_seed() -> None:
    text, name = report.log(leader_lock(), None)
    assert text.startswith(SEED)
    assert text.endswith("\nverdict,held\nresidue,clean\nexit_code,0\ntest_result,PASS\n")
    assert name == "leader_lock_2025-11-13T14-30-00.log"
    rows = dict(csv.reader(text.splitlines()))
    assert (rows["environment"], rows["recovery_s"], rows["rto_s"]) == ("dev, old", "4.5", "90.0")


@pytest.mark.parametrize(("exit_code", "word"), [(0, "PASS"), (1, "FAIL"), (3, "REFUSED"), (4, "STOPPED"), (5, "UNKNOWN"), (70, "UNKNOWN")])
def test_the_result_is_the_runs(exit_code: int, word: str) -> None:
    assert report.log(leader_lock(exit_code), None)[0].endswith(f"\ntest_result,{word}\n")


def test_what_was_not_seen_is_left_out() -> None:
    start, *_, end = leader_lock()
    text, _ = report.log([start, sample("hold", None), end], None)
    assert "leader_" not in text.partition("\n")[2]
    assert "ready_" not in text
    unfinished, _ = report.log([start], None)
    assert unfinished.endswith("\ntest_result,UNKNOWN\n")


def test_a_recorded_run_has_its_numbers_and_its_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORMDESK_RUNS", str(tmp_path / "runs"))
    for run in ("r-1", "r-2"):
        folder = tmp_path / "runs" / run
        folder.mkdir(parents=True)
        events = RECORDED.read_bytes()
        (folder / "events.jsonl").write_bytes(events)
        write_reports(folder)
    text = (folder / "evidence.log").read_text()
    rows = dict(csv.reader(text.splitlines()))
    assert rows["disk_full_chaos_test"] == "2026-11-21T04-04-15"
    assert {"leader_before", "ready_after_stop", "scan_hb", "order_hb", "md_hb"} <= set(rows)
    assert float(rows["md_hb"]) < 5
    assert rows["run"] == read(events, "")[0]["run"]
    (copy,) = (tmp_path / "runs" / CHAOS).iterdir()
    assert (copy.name, copy.read_text()) == ("disk_full_2026-11-21T04-04-15.log", text), "the same run, so the same file"
    other = tmp_path / "elsewhere" / "r-3"
    other.mkdir(parents=True)
    (other / "events.jsonl").write_bytes(events)
    write_reports(other)
    assert len(list((tmp_path / "runs" / CHAOS).iterdir())) == 1, "only runs in runs/ have a copy"


def test_without_a_folder_of_its_own_the_copy_is_beside_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STORMDESK_RUNS", raising=False)
    monkeypatch.chdir(tmp_path)
    folder = Path("runs/r-1")
    folder.mkdir(parents=True)
    (folder / "events.jsonl").write_bytes(RECORDED.read_bytes())
    write_reports(folder)
    assert [path.name for path in Path(CHAOS).iterdir()] == ["disk_full_2026-11-21T04-04-15.log"]


def test_two_runs_of_one_second_keep_their_logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from stormdesk.run import run_checks

    monkeypatch.setenv("STORMDESK_RUNS", str(tmp_path / "runs"))
    for text in (b"run,r-1\n", b"run,r-2\n", b"run,r-1\nagain,1\n"):
        run_checks._beside("a_2025.log", text)
    assert {path.name: path.read_text() for path in (tmp_path / "runs" / CHAOS).iterdir()} == {
        "a_2025.log": "run,r-1\nagain,1\n", "a_2025-2.log": "run,r-2\n",
    }  # fmt: skip
