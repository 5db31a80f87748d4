"""The guard's files: what survives a restart, what stops a host, and who may clear it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stormdesk.testnet.guard.files import Files
from stormdesk.testnet.guard.stages import Saved, Stage


@pytest.fixture
def files(tmp_path: Path) -> Files:
    folder = tmp_path / "guard"
    folder.mkdir()
    return Files(folder, "trader-a")


def test_a_fresh_host_is_observed_and_free(files: Files) -> None:
    assert files.load() == (Saved(), "")
    assert not files.stopped()
    assert files.alerts() == []


def test_scenario_H_03_the_stage_and_the_stop_survive_the_guard(files: Files) -> None:
    saved = Saved(Stage.FAILSAFE, 3, "Trader: gone")
    files.save(saved)
    files.stop("Trader: gone")
    again = Files(files.folder, "trader-a")
    assert again.load() == (saved, "")
    assert again.stopped()
    flags = json.loads((files.folder / "global_flags.json").read_text())
    assert (flags["SIGNAL_READ_ONLY"], flags["reason"]) == (True, "Trader: gone")
    assert (files.folder / "STOP.TXT").read_text() == "Trader: gone\n"
    again.stop("another reason")
    assert (files.folder / "STOP.TXT").read_text() == "Trader: gone\n"
    again.release()
    assert not again.stopped()
    assert not (files.folder / "global_flags.json").exists()


@pytest.mark.parametrize("bad", ["", "{", '{"stage": "ASLEEP"}', '{"stage": "OBSERVE", "mood": 1}'])
def test_a_stage_that_cannot_be_read_is_failsafe_where_the_host_is_stopped(files: Files, bad: str) -> None:
    files.save(Saved())
    (files.folder / "autoheal_state.json").write_text(bad)
    saved, wrong = files.load()
    assert (saved.stage, bool(wrong)) == (Stage.OBSERVE, True)
    files.stop("before")
    assert files.load()[0].stage is Stage.FAILSAFE


def test_alerts_are_raised_once_and_answered(files: Files) -> None:
    files.alert("failsafe", "first")
    files.alert("failsafe", "second")
    assert [(a.id, a.host, a.text) for a in files.alerts()] == [("failsafe", "trader-a", "first")]
    (files.folder / "alerts" / "odd.json").write_text("{")
    assert [a.id for a in files.alerts()] == ["odd", "failsafe"]
    files.answered("failsafe")
    files.answered("odd")
    files.answered("odd")
    assert files.alerts() == []


def test_notes_are_one_line_each(files: Files) -> None:
    files.note("FAILSAFE: a\nb")
    files.note("cleared by alice")
    lines = (files.folder / "notifications.log").read_text().splitlines()
    assert [line.split(" ", 2)[1:] for line in lines] == [
        ["trader-a", "FAILSAFE: a b"],
        ["trader-a", "cleared by alice"],
    ]
