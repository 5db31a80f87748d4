"""What the sections of a report say of a real, recorded run, and of the same run with one fact changed."""

from __future__ import annotations

import cProfile
import csv
import dataclasses
import io
import json
from typing import Any

import pytest

from stormdesk.core import journal
from stormdesk.core.journal import Event
from stormdesk.evidence import comparing, findings, lanes, report, sections, signs
from stormdesk.evidence import scorecard as scorecards
from stormdesk.evidence.cut import Cut
from stormdesk.evidence.story import Check, Story, tell
from stormdesk.run.run_checks import REPORTS
from tests.unit.test_report import RUN, Events, Page, cut, dirty, events, never_recovered, of, plans, violated

__all__ = ["cut", "events", "plans"]  # fixtures

SECTIONS = ("verdict", *(name for name, _ in report.SECTIONS))


def told(events: Events, cut: Cut | None) -> Story:
    return tell(events, cut)


def sample(t: float, **health: Any) -> Event:
    return {"t": t, "event": "sample", "health": health, "metrics": None}


def test_all_eleven_sections_are_there_in_order(events: Events, cut: Cut, plans: list[dict[str, Any]]) -> None:
    text = report.html(events, cut, plans)
    places = [text.index(f'<section id="{name}"') for name in SECTIONS]
    assert len(places) == 11
    assert places == sorted(places)
    Page(report.html(events[:1], None))  # and none of them needs anything to be there
    assert all(f'<section id="{name}"' in report.html(events[:1], None) for name in SECTIONS)


# ---- signs -----------------------------------------------------------------------------------------------------------


def test_the_first_sign_is_the_stacks_own(events: Events, cut: Cut) -> None:
    card = report.scorecard(events, cut)
    story = told(events, cut)
    first = next(s for s in story.samples if "Ledger" in s["health"]["trader-a"]["failing_components"])
    assert card["detect_s"] == pytest.approx(first["t"] - story.t0, abs=0.001)
    assert card["alert_s"] is None
    for one in story.samples:
        one["health"]["trader-a"].update(failing_components=[], dor=True)
    assert report.scorecard(events, cut)["detect_s"] is None


def test_what_was_wrong_before_the_fault_is_no_detection() -> None:
    bad = {"failing_components": ["Redis"], "dor": False}
    samples = [sample(9.0, a=bad), sample(11.0, a=bad), sample(12.0, a={"failing_components": ["Redis", "Feeder"]})]
    said = signs.signs(samples, 10.0)
    assert [(sign.text, sign.known) for sign in said] == [("Redis", True), ("Feeder", False)]
    assert signs.first_after(said, (signs.FAILING,), 10.0) == 2.0
    assert signs.first_after(signs.signs(samples[:2], 10.0), (signs.FAILING,), 10.0) is None


def test_alerts_and_pauses_are_read_from_guards_and_the_orchestrator() -> None:
    desk = {"paused": True, "alerts": {"trader-a:failsafe": {"text": "given up"}}}
    samples = [
        sample(10.5, ops={"orchestrator": desk}),
        sample(11.0, a={"guard": {"alerts": [{"id": "x", "text": "y"}]}}),
    ]
    said = signs.signs(samples, 10.0)
    assert {(sign.kind, sign.text) for sign in said} == {
        ("paused", "the desk is paused"), ("alert", "trader-a:failsafe: given up"), ("alert", "y")
    }  # fmt: skip
    assert signs.first_after(said, (signs.ALERT,), 10.0) == 0.5


@pytest.mark.parametrize(
    "document", [None, [], "text", {"guard": None, "components": None}, {"alerts": ["x"], "components": {"a": 1}}]
)
def test_a_document_of_another_shape_is_no_error(document: object) -> None:
    samples = [sample(1.0, a=document)]
    assert len(signs.signs(samples, 0.0)) <= 1
    assert signs.lag_peak(samples, 0.0) is None


# ---- the scorecard and the run before --------------------------------------------------------------------------------


def test_numbers_are_compared_with_the_last_run_of_the_same_id(events: Events, cut: Cut) -> None:
    card = report.scorecard(events, cut)
    other = card | {"fault": "disk-slow", "run": "r-2", "started_at": "2020-01-02T00:00:00Z"}
    stopped = card | {"state": "stopped", "run": "r-3", "started_at": "2020-01-03T00:00:00Z"}
    later = card | {"run": "r-4", "started_at": "2999-01-01T00:00:00Z"}
    before = card | {
        "run": "r-1",
        "recovery_s": card["recovery_s"] + 20,
        "orders_lost": 3,
        "started_at": "2020-01-01T00:00:00Z",
    }
    last = comparing.last_of_the_same(card, [other, stopped, later, before])
    assert last is before
    text = report.html(events, cut, last=last)
    assert "20.0 s less" in text
    assert "3 less, better" in text
    assert "../r-1/report.html" in text
    assert comparing.last_of_the_same(card, [other, stopped, later, card]) is None
    assert "no earlier run of the same id" in report.html(events, cut)


def test_a_scorecard_of_an_earlier_version_is_compared_too(events: Events, cut: Cut) -> None:
    old = {
        "run": "r-1",
        "fault": "disk-full",
        "hosts": ["trader-a"],
        "verdict": "violated",
        "recovery_s": 0.1,
        "started_at": "2020",
    }
    last = comparing.last_of_the_same(report.scorecard(events, cut), [old])
    assert last == old
    assert comparing.state_of(old) == "fail"
    changed = comparing.changes(scorecards.scorecard(told(events, cut)), old)
    assert changed["detect_s"].before == "not measured"


@pytest.mark.parametrize(
    ("verdict", "state"),
    [
        ({}, "pass"),
        ({"verdict": "violated", "exit_code": 1}, "fail"),
        ({"verdict": "unknown", "exit_code": 5}, "unknown"),
        ({"verdict": "unknown", "exit_code": 4}, "stopped"),
        ({"verdict": "unknown", "exit_code": 3}, "refused"),
        ({"residue": "dirty", "exit_code": 5}, "dirty"),
    ],
)
def test_the_state_is_one_word_with_a_sign(events: Events, cut: Cut, verdict: dict[str, Any], state: str) -> None:
    of(events, "verdict").update(verdict)
    assert report.scorecard(events, cut)["state"] == state
    assert report.marked(state) in report.html(events, cut)
    assert report.marked(state)[0] not in "PFUSRD"


def test_lost_orders_are_counted_as_i03_names_them(events: Events, cut: Cut) -> None:
    assert report.scorecard(events, cut)["orders_lost"] == 0
    of(events, "checks")["checks"][2].update(verdict="violated")
    cut = dataclasses.replace(cut, orders=dataclasses.replace(cut.orders, rows=cut.orders.rows[2:]))
    assert report.scorecard(events, cut)["orders_lost"] == 2
    of(events, "checks")["checks"][2].update(verdict="unknown")
    assert report.scorecard(events, cut)["orders_lost"] is None
    of(events, "checks")["checks"][1].update(verdict="violated")
    assert report.scorecard(events, cut)["order_violations"] == 1
    assert report.scorecard(events, cut)["state_issues"] == 0


# ---- findings --------------------------------------------------------------------------------------------------------


def test_a_clean_pass_has_no_findings(events: Events, cut: Cut) -> None:
    assert findings.findings(told(events, cut)) == ()
    assert "Nothing was found that needs work" in report.html(events, cut)


def test_what_went_wrong_is_a_finding_with_the_command_to_try_again(events: Events, cut: Cut) -> None:
    violated(events)
    never_recovered(events)
    of(events, "S8.verified").update(side_effects=["+ sysctl x 1"], others=["+ route y"])
    found = findings.findings(told(events, cut))
    assert [one.severity for one in found] == ["high", "high", "medium", "low"]
    assert found[0].text.startswith("Trading was steady again never")
    assert all(one.retest.startswith("invoke chaos.disk-full") for one in found)
    dirty(events)
    assert findings.findings(told(events, cut))[0].retest.startswith("invoke chaos.revert --run")


def test_a_run_without_a_pass_never_has_an_empty_list(events: Events, cut: Cut) -> None:
    of(events, "verdict").update(verdict="unknown", exit_code=5, why="somebody else ended the fault")
    of(events, "S8.verified").update(others=["+ route y"])
    first = findings.findings(told(events, cut))[0]
    assert (first.severity, first.text) == ("medium", "somebody else ended the fault")
    of(events, "verdict").update(verdict="violated", exit_code=1, why="its service was started by us")
    assert findings.findings(told(events, cut))[0] == findings.Finding(
        "high", "its service was started by us", told(events, cut).command
    )


def test_a_note_may_be_an_action_item(events: Events, cut: Cut) -> None:
    note = {"t": 1.0, "run": "r", "event": "note", "who": "ann"}
    both: Events = [
        *events,
        {**note, "text": "action: shorten the timeout owner=bob due=2026-12-01"},
        {**note, "text": "it was slow"},
        {**note, "text": "Action: look"},
    ]
    first, second = findings.actions(told(both, cut))
    assert (first.text, first.owner, first.due, first.issue) == ("shorten the timeout", "bob", "2026-12-01", "")
    assert (second.text, second.owner) == ("look", "ann")
    assert dict(sections.people(told(both, cut))) == {"observer": "ann, 3 notes"}


# ---- tables ----------------------------------------------------------------------------------------------------------


def test_checks_of_hosts_are_a_matrix_and_others_a_list() -> None:
    checks = [
        Check(name, "held", "", 0.0, {})
        for name in ("services a", "services b", "ports b", "engine.up[c]", "orders flow", "I-01")
    ]
    grid, whole = sections.matrix(checks)
    assert grid.hosts == ("a", "b", "c")
    assert [(kind, [cell is not None for cell in cells]) for kind, cells in grid.rows] == [
        ("services", [True, True, False]), ("ports", [False, True, False]), ("engine.up", [False, False, True])
    ]  # fmt: skip
    assert [check.id for check in whole] == ["orders flow", "I-01"]


def test_the_hypothesis_table_names_where_the_evidence_is(events: Events, cut: Cut) -> None:
    rows = sections.hypothesis(told(events, cut), report.TITLES)
    assert {row.verdict for row in rows} == {"held"}
    text = report.html(events, cut)
    assert all(f'id="{row.link[1:]}"' in text for row in rows if row.link.startswith("#"))
    of(events, "S5.confirmed")["witness"] = ""
    assert "unknown" in {row.verdict for row in sections.hypothesis(told(events, cut), report.TITLES)}


def test_the_tables_are_csv_and_no_formula(events: Events, cut: Cut) -> None:
    violated(events)
    of(events, "checks")["checks"][2]["id"] = "=cmd"
    texts, _ = report.documents(events, cut, [], [], [])
    rows = {
        name.rpartition("/")[2]: list(csv.reader(io.StringIO(text)))
        for name, text in texts.items()
        if name.endswith(".csv")
    }
    assert set(rows) == {"scorecard.csv", "hypothesis.csv", "findings.csv"}
    assert set(texts) == set(REPORTS)  # so that all are sealed
    assert ["status", "", "fail", "", ""] in rows["scorecard.csv"]
    assert any(row[1].startswith("'=cmd violated") for row in rows["findings.csv"])
    assert all(len(row) == len(table[0]) for table in rows.values() for row in table)
    assert json.loads(texts["scorecard.json"]) == report.scorecard(events, cut)
    assert "findings.csv" in texts["report.html"]


# ---- lanes -----------------------------------------------------------------------------------------------------------


def test_each_host_has_a_lane_and_so_have_checks_and_people(events: Events, cut: Cut) -> None:
    start = told(events, cut).t0
    more: Events = [*events, {"t": start + 3, "run": "r", "event": "note", "who": "ann", "text": "seen"}]
    story = told(more, cut)
    drawn = lanes.lanes(story, signs.signs(story.samples, story.t0))
    assert [lane.name for lane in drawn] == ["trader-a", "checks", "people and notes"]
    assert [band.css for band in drawn[0].bands] == ["lane-fault", "lane-sign"]
    assert drawn[0].bands[0].first == 0.0
    assert [point.kind for point in drawn[1].points] == ["held", "held"]
    assert drawn[2].points[0].t == pytest.approx(3.0)
    rows, left = lanes.in_words(drawn, 2)
    assert (len(rows), left) == (2, 3)
    assert rows[0][1] == "checks"


def test_many_hosts_are_few_lanes(events: Events, cut: Cut) -> None:
    story = told(events, cut)
    said = [signs.Sign(f"node-{n}", signs.FAILING, "x", story.t0 + n, story.t0 + n + 1, False) for n in range(42)]
    drawn = lanes.lanes(story, said)
    assert len([lane for lane in drawn if lane.name != "checks"]) == lanes.MOST_HOSTS
    assert drawn[lanes.MOST_HOSTS - 1].name == "32 more hosts"


def test_a_line_keeps_its_peak_however_many_samples_there_are(events: Events, cut: Cut) -> None:
    story = told(events, cut)
    many = [
        {
            "t": story.t0 + n / 100,
            "event": "sample",
            "health": {},
            "metrics": {"unknown": 7.0 if n == 3333 else 0.0, "idle": 0.0},
        }
        for n in range(10_000)
    ]
    (line,) = lanes.lines(tell([e for e in events if e["event"] != "sample"] + many, cut), 0.0, 100.0)
    assert line.name == "unknown"
    assert len(line.points) <= lanes.CELLS + 1
    assert max(value for _, value in line.points) == 7.0


# ---- speed -----------------------------------------------------------------------------------------------------------


def calls(events: Events, cut: Cut, times: int) -> int:
    """How many calls it takes to report the run with its samples repeated that often."""
    first = next(n for n, event in enumerate(events) if event["event"] == "sample")
    samples = [event for event in events if event["event"] == "sample"]
    more = [{**sample, "t": sample["t"] + n / 50} for n in range(times) for sample in samples]
    profile = cProfile.Profile()
    profile.runcall(report.documents, [*events[:first], *more, *events[first:]], cut, [], [], [])
    return sum(entry.callcount for entry in profile.getstats())


def test_ten_times_the_events_take_at_most_ten_times_the_calls(events: Events, cut: Cut) -> None:
    """Ten thousand events take less than two seconds of processor time, more than half of it to read them."""
    report.documents(events, cut, [], [], [])  # what is done once
    few, many = (calls(events, cut, times) for times in (10, 100))
    assert many <= 10 * few
    assert many < 400 * 48 * 100  # of each of the 4800 samples


def test_reading_a_record_does_not_write_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    data = (RUN / "events.jsonl").read_bytes()
    monkeypatch.setattr(journal, "_canonical", lambda event: pytest.fail("written again"))
    assert len(journal.read(data, "events.jsonl")) == data.count(b"\n")


def test_a_line_that_was_written_in_another_way_is_read_too() -> None:
    line = journal.encode({"seq": 1, "event": "x", "inner": {"sum": "00000000", "z": 1}})
    event = {key: value for key, value in json.loads(line).items() if key != "sum"}
    spaced = json.dumps(json.loads(line), indent=None).encode()
    assert journal.decode(line) == journal.decode(spaced) == event
    assert journal.decode(line.replace(b'"z":1', b'"z":2')) is None
