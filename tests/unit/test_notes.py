"""Notes of people in a run's record, and in the reports written from it."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import pytest

from stormdesk.cli import commands
from stormdesk.core import events
from stormdesk.core.errors import RefusedError, UsageError
from stormdesk.run.record import Record, load

RECORDED = Path(__file__).parents[1] / "cases" / "histories" / "disk-full"
RUN = "r-20261121-0312-k3f9"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of an ended run."""
    monkeypatch.setenv("STORMDESK_RUNS", str(tmp_path))
    shutil.copytree(RECORDED, tmp_path / RUN)
    return tmp_path / RUN


def test_a_note_is_in_the_record_and_in_the_next_report(run: Path) -> None:
    assert commands.note(RUN, "the pager rang <at> 03:13", "alice") == "alice"
    told = msgspec.json.decode((run / "events.jsonl").read_bytes().splitlines()[-1], type=events.Note)
    assert (told.text, told.who) == ("the pager rang <at> 03:13", "alice")
    page = Path(commands.report_again(RUN)).read_text()
    assert "the pager rang &lt;at&gt; 03:13" in page
    assert "alice" in page


def test_a_note_without_a_name_has_the_users(run: Path) -> None:
    assert "@" in commands.note(RUN, "quiet", "")
    assert load(run)[-1]["text"] == "quiet"


@pytest.mark.parametrize(("which", "text", "says"), [(RUN, " ", "--text is required"), ("r-1", "x", "no such run")])
def test_invalid_notes_are_refused(run: Path, which: str, text: str, says: str) -> None:
    before = load(run)
    with pytest.raises(UsageError, match=says):
        commands.note(which, text, "alice")
    assert load(run) == before


def test_a_note_that_cannot_be_written_is_refused(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Record, *, durably: bool = False) -> str:
        return "No space left on device"

    monkeypatch.setattr(Record, "_flush", full)
    with pytest.raises(RefusedError, match="No space left"):
        commands.note(RUN, "x", "alice")
    assert run.is_dir()
