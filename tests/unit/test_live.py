"""The live page: what it says at each moment of a real, recorded run, and that writing it never holds a run up."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from stormdesk.core import journal
from stormdesk.evidence import live_page
from stormdesk.evidence.board import CHECKS, LATEST, Board
from stormdesk.run import live
from stormdesk.run.live import Live
from stormdesk.run.record import Record
from tests.unit.test_report import RUN, Events, of
from tests.unit.test_report_access import Outline

SOON_S = 20.0  # for a thread on a busy machine


@pytest.fixture
def events() -> Events:
    return [dict(event) for event in journal.read((RUN / "events.jsonl").read_bytes(), "events.jsonl")]


def shown(events: Events, until: str = "", now: float = 0.0) -> dict[str, Any]:
    """The document when the last event was that one."""
    board = Board()
    for event in events:
        board.take(event)
        if event["event"] == until:
            break
    return board.document(now)


def state(document: dict[str, Any]) -> tuple[str, str]:
    (lane,) = document["lanes"]
    (step,) = lane["steps"]
    return document["phase"], step["state"]


@pytest.mark.parametrize(
    ("until", "phase", "host"),
    [
        ("run.started", "starting", "waiting"),
        ("S1.intent", "steady state looked at", "arming"),
        ("S4.injected", "fault in", "in"),
        ("S6.hold", "fault in", "in, effect seen"),
        ("S7.revert", "healing", "reverting"),
        ("S9.cleared", "healing", "healed"),
        ("verdict", "over", "healed"),
    ],
)
def test_each_moment_has_its_state(events: Events, until: str, phase: str, host: str) -> None:
    assert state(shown(events, until)) == (phase, host)


def test_the_countdown_ends_with_the_hold_and_the_deadline_is_known(events: Events) -> None:
    (host,) = shown(events, "S6.hold")["lanes"][0]["steps"][0]["hosts"]
    hold, intent = of(events, "S6.hold"), of(events, "S1.intent")
    assert host["until"] == hold["t"] + hold["hold_s"]
    assert host["heals_by"] == intent["t"] + intent["ttl_s"] > host["until"]
    (after,) = shown(events)["lanes"][0]["steps"][0]["hosts"]
    assert (after["until"], after["heals_by"]) == (None, None)


def test_a_host_that_may_be_dirty_stays_so(events: Events) -> None:
    of(events, "S8.verified")["clean"] = False
    assert state(shown(events))[1] == "may be dirty"


def test_lanes_and_their_steps_are_told_apart(events: Events) -> None:
    start = of(events, "run.started")
    start["ops"] = [
        {"id": "a", "lane": "disk", "fault": "disk-full", "host": "ops"},
        {"id": "b", "lane": "feed", "fault": "process-pause", "host": "feed"},
        {"id": "c", "lane": "people", "act": "stack.pause"},
        {"id": "d", "lane": "people", "wait_s": 5},
    ]
    more = {"t": 1.0, "run": "r"}
    document = shown(
        [
            start,
            {**more, "event": "S4.injected", "host": "ops", "op": "a"},
            {**more, "event": "act", "op": "c", "task": "stack.pause"},
            {**more, "event": "S4.injected", "host": "x", "op": "unknown"},
        ]
    )
    assert [lane["name"] for lane in document["lanes"]] == ["disk", "feed", "people"]
    assert [step["state"] for lane in document["lanes"] for step in lane["steps"]] == [
        "in",
        "waiting",
        "running",
        "waiting",
    ]
    assert document["lanes"][2]["steps"][1]["does"] == "wait 5 s"


def test_it_stays_small_however_long_the_run_is(events: Events) -> None:
    of(events, "steady")["checks"][0]["verdict"] = "unknown"
    notes = [{"t": float(n), "run": "r", "event": "note", "text": "x" * 9999} for n in range(1000)]
    many = [events[0], *(of(events, "steady") for _ in range(100)), *notes]
    document = shown(many)
    assert len(document["latest"]) == LATEST
    assert len(document["checks"]) == CHECKS
    assert document["latest"][0][0] == 999.0
    assert len(live_page.script(document)) < 20_000


def test_what_a_host_said_ends_no_script(events: Events) -> None:
    of(events, "verdict")["why"] = "</script><b>"
    text = live_page.script(shown(events))
    assert "<" not in text
    assert json.loads(text.removeprefix("stormdesk(").removesuffix(");\n"))["why"] == "</script><b>"
    assert "innerHTML" not in live_page.PAGE
    assert "http" not in live_page.PAGE.replace("http-equiv", "")
    page = Outline(live_page.PAGE)
    assert page.levels == [1, 2, 2, 2, 2]
    assert page.bare == []
    assert set(page.labelled) <= set(page.ids)


def test_a_run_writes_it_and_the_last_word_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "LAST_S", SOON_S)
    record = Record(tmp_path / "r-1", "r-1")
    try:
        with Live(record.folder, record.said):
            record.event("run.started", fault="noop", hosts=["a"])
            until = time.monotonic() + SOON_S
            while not (tmp_path / "r-1" / "live.js").exists() and time.monotonic() < until:
                time.sleep(0.02)
            assert '"over": false' in (tmp_path / "r-1" / "live.js").read_text()
            record.event("verdict", verdict="held", residue="clean", exit_code=0, why="so")
    finally:
        record.close()
    assert '"over": true' in (tmp_path / "r-1" / "live.js").read_text()
    assert sorted(path.name for path in (tmp_path / "r-1").iterdir()) == ["audit.jsonl", "events.jsonl", "live.html", "live.js"]


def test_a_disk_that_hangs_holds_nobody_up(tmp_path: Path, events: Events) -> None:
    os.mkfifo(tmp_path / ".live.html.new")  # whoever opens it to write waits for a reader, for ever
    with Live(tmp_path, lambda: events):
        time.sleep(0.2)
        began = time.monotonic()
    assert time.monotonic() - began < live.LAST_S + SOON_S / 4
    assert not (tmp_path / "live.js").exists()
    os.close(os.open(tmp_path / ".live.html.new", os.O_RDONLY | os.O_NONBLOCK))  # lets the thread go


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path, events: Events) -> None:
    (tmp_path / "live.js").mkdir()
    (tmp_path / "live.js" / "x").touch()
    with Live(tmp_path, lambda: events):
        pass
    with Live(tmp_path / "missing", lambda: events):
        pass
    assert not (tmp_path / "missing").exists()
    assert not list(tmp_path.glob(".live*"))
