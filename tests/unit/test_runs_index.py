"""The index over runs: what it says of scorecards of all kinds, and that the report of a run writes it."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from stormdesk.evidence import runs_index
from stormdesk.run import earlier
from stormdesk.run.run_checks import write_reports
from tests.unit.test_report import RUN, Page
from tests.unit.test_report_access import Outline


def card(number: int, **more: Any) -> dict[str, Any]:
    basic = {"fault": "noop", "hosts": ["a"], "why": "x", "recovery_s": 1.0, "recovery_budget_s": 30.0, "state": "pass"}
    return {"run": f"r-{number}", "started_at": f"2026-01-01T00:00:{number:02}Z", **basic, **more}


def test_runs_are_grouped_by_id_and_ordered_by_time() -> None:
    cards = [card(3, scenario="H-02"), card(1, scenario="H-02", state="fail"), card(2), card(4, state="stopped")]
    found = runs_index.scenarios(cards)
    assert [(one.id, [c["run"] for c in one.cards], one.rate) for one in found] == [
        ("H-02", ["r-1", "r-3"], "1 of 2"), ("noop on a", ["r-2", "r-4"], "1 of 1")
    ]  # fmt: skip
    text = runs_index.html(cards)
    Page(text)
    assert "1 of 2 scenarios passed in their last run" in " ".join(text.split())
    assert "Success rate: 50 %. Failed: 0. Without a verdict: 1." in " ".join(text.split())
    assert text.index("r-4/report.html") < text.rindex("r-1/report.html")


@pytest.mark.parametrize(
    ("states", "tone"),
    [(["pass", "pass"], "pass"), (["pass", "unknown"], "unknown"), (["pass", "dirty"], "fail"), ([], "unknown")],
)
def test_it_is_green_only_if_all_passed(states: list[str], tone: str) -> None:
    text = runs_index.html([card(n, scenario=f"S-{n}", state=state) for n, state in enumerate(states)])
    assert f'<section class="banner {tone}"' in text


def test_a_trend_is_a_line_with_gaps_and_its_budget() -> None:
    cards = [card(n, recovery_s=None if n == 3 else float(n)) for n in range(1, 6)]
    (scenario,) = runs_index.scenarios(cards)
    drawn = runs_index.trend(scenario)
    assert drawn.count("<path") == 2
    assert drawn.count("<circle") == 4
    assert "recovery times, the oldest first: 1.0, 2.0, 4.0, 5.0 s" in drawn
    assert "budget 30 s" in drawn
    heights = [float(y) for y in re.findall(r'cy="([\d.]+)"', drawn)]
    assert heights == sorted(heights, reverse=True)
    (none,) = runs_index.scenarios([card(1, recovery_s=None)])
    assert runs_index.trend(none) == ""


def test_scorecards_of_earlier_versions_and_of_hosts_that_lie_are_shown() -> None:
    old = {"run": "r-0", "fault": "<b>", "hosts": ["a"], "verdict": "violated"}
    text = runs_index.html([old, card(1)])
    Page(text)
    assert "<b>" not in text
    page = Outline(text)
    assert page.levels == [1, 2, 2]
    assert page.links[0] == "#main"
    assert page.bare == []
    assert len(page.ids) == len(set(page.ids))


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STORMDESK_RUNS", str(tmp_path))
    name = json.loads((RUN / "events.jsonl").read_text().partition("\n")[0])["run"]
    for folder in (name, "r-20200101-0000-aaaaaa"):
        shutil.copytree(RUN, tmp_path / folder)
        shutil.copytree(RUN / "cut", tmp_path / folder / "outputs" / "cut")
    return tmp_path


def test_a_report_writes_the_index_and_is_compared_with_the_run_before(runs: Path) -> None:
    early, late = sorted(folder for folder in runs.iterdir())
    write_reports(late)
    assert "no earlier run" in (late / "report.html").read_text()
    known = json.loads((late / "scorecard.json").read_text())
    before = known | {"run": early.name, "started_at": "2020-01-01T00:00:00Z", "recovery_s": known["recovery_s"] + 9}
    (early / "scorecard.json").write_text(json.dumps(before))
    write_reports(late)
    assert f"../{early.name}/report.html" in (late / "report.html").read_text()
    assert "9.0 s less, better" in (late / "report.html").read_text()
    text = (runs / "index.html").read_text()
    assert text.count(f'href="{late.name}/report.html"') >= 2
    assert f'href="{early.name}/report.html"' in text
    assert [c["run"] for c in earlier.cards(runs)] == [late.name, early.name]


@pytest.mark.parametrize(
    "damaged", [b"", b"[]", b"{", b'{"run": "other"}', b"\xff", b"[" * 100_000, b'{"run": "r-x", "hosts": 3}']
)
def test_a_damaged_scorecard_is_none(runs: Path, damaged: bytes) -> None:
    folder = runs / "r-x"
    folder.mkdir()
    (folder / "scorecard.json").write_bytes(damaged)
    assert list(earlier.cards(runs)) == []


def test_the_index_never_fails_a_report(runs: Path) -> None:
    (runs / "index.html").mkdir()
    late = max(runs.glob("r-*"))
    write_reports(late)
    assert (late / "report.html").is_file()


def test_a_record_elsewhere_has_no_index(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORMDESK_RUNS", str(runs / "other"))
    write_reports(max(runs.glob("r-*")))
    assert not (runs / "index.html").exists()
