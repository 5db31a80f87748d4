"""The output of one run for people, for logs and for programs."""

from __future__ import annotations

import io
import json
import re

import pytest

from stormdesk.cli.show import LANES_SHOWN, Mode, Show, spark, table
from stormdesk.core.errors import ExitCode


def shown(mode: Mode, width: int = 80, *, colour: bool = False) -> tuple[Show, io.StringIO]:
    out = io.StringIO()
    return Show(mode, out, width=width, colour=colour, now=lambda: 1_800_000_000.0), out


def a_run(show: Show) -> None:
    show.header("r-1", "disk-full", ["trader-a (root@10.77.0.13:22)"], "100 % of /var/lib/trading", 20)
    show.phase("plan", "write 180.0 MiB with fallocate to /var/lib/trading/.stormdesk-r-1, then to the last block")
    show.phase("steady", "6/6 checks passed", 0.9, ok=True)
    show.progress("hold", 5, 20, "15 s left   orders 3.0/s  refused 12 " + "x" * 200)
    show.phase("hold", "20 s\u202e\x1b[31m", ok=False)
    show.verdict(0, "held", "clean", "every check held", "runs/r-1/report.html", "r-1")


@pytest.mark.parametrize("width", [40, 80, 120])
def test_people_get_aligned_lines_that_fit(width: int) -> None:
    show, out = shown(Mode.PEOPLE, width)
    a_run(show)
    lines = [line.rpartition("\r\x1b[2K")[2] for line in out.getvalue().split("\n")]
    assert max(len(line) for line in lines if "report:" not in line) <= width
    assert any(line.startswith(" plan     write 180.0") for line in lines)
    assert " PASS  every check held.  Hosts" in out.getvalue()
    assert "\u202e" not in out.getvalue()


def test_the_progress_line_is_updated_in_place() -> None:
    show, out = shown(Mode.PEOPLE)
    show.progress("hold", 5, 20, "15 s left")
    show.progress("hold", 10, 20, "10 s left")
    show.phase("hold", "done")
    drawn = out.getvalue().split("\r\x1b[2K")
    assert [line.count("█") for line in drawn] == [0, 5, 10, 0]
    assert out.getvalue().count("\n") == 1


def test_lanes_are_updated_in_place_each_in_a_line_of_its_own() -> None:
    show, out = shown(Mode.PEOPLE)
    rows = [("disk", 5.0, 20.0, "15 s left"), ("a-long-lane-name", 0.0, 1.0, "waiting"), ("hold", 1.0, 2.0, "orders")]
    show.lanes(rows)
    first = out.getvalue()
    show.lanes(rows)
    show.phase("hold", "done")
    assert first.count("\n") == 2
    assert "\x1b[1A" not in first
    drawn = out.getvalue().removeprefix(first)
    assert drawn.count("\x1b[1A\x1b[2K") == 2 * (len(rows) - 1)
    assert drawn.index("\r\x1b[2K\x1b[1A") == 0
    show.progress("hold", 1, 2, "one line again")
    assert out.getvalue().count("\x1b[1A") == 2 * (len(rows) - 1)
    lines, _ = shown(Mode.LINES)
    lines.lanes(rows)


def test_more_lanes_than_fit_are_cut_and_erased_whole() -> None:
    show, out = shown(Mode.PEOPLE)
    show.lanes([(f"lane-{n}", 0.0, 1.0, "x") for n in range(40)])
    assert out.getvalue().count("\n") == LANES_SHOWN - 1
    show.say("after")
    assert out.getvalue().count("\x1b[1A") == LANES_SHOWN - 1


def test_colour_changes_no_text() -> None:
    plain, painted = shown(Mode.PEOPLE), shown(Mode.PEOPLE, colour=True)
    a_run(plain[0])
    a_run(painted[0])
    assert "\x1b[32" in painted[1].getvalue()
    assert re.sub(r"\x1b\[[0-9;]*m", "", painted[1].getvalue()).replace(" \n", "\n") == plain[1].getvalue()


def test_logs_get_one_line_a_phase() -> None:
    show, out = shown(Mode.LINES)
    a_run(show)
    lines = out.getvalue().splitlines()
    assert [line.split()[2] for line in lines] == ["run", "plan", "steady", "hold", "verdict"]
    assert lines[2] == '2027-01-15T08:00:00Z info steady ok=true took_s=0.90 text="6/6 checks passed"'
    assert lines[3].split()[1] == "error"
    assert all(line.isprintable() for line in lines)


def test_programs_get_one_object_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    show, err = shown(Mode.JSON)
    a_run(show)
    assert capsys.readouterr().out == ""
    show.result({"exit_code": 0, "why": "größer"})
    assert json.loads(capsys.readouterr().out) == {"exit_code": 0, "why": "größer"}
    assert err.getvalue().count("\n") == 5


def test_the_parts_of_a_task_are_gathered_into_its_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    show, _ = shown(Mode.JSON)
    part = show.gathering()
    part.result({"step": 1})
    part.result({"step": 2})
    show.result({"steps": part.gathered})
    assert json.loads(capsys.readouterr().out) == {"steps": [{"step": 1}, {"step": 2}]}


@pytest.mark.parametrize("code", list(ExitCode))
@pytest.mark.parametrize("residue", ["clean", "dirty", "untouched"])
def test_every_outcome_has_a_text(code: ExitCode, residue: str) -> None:
    show, out = shown(Mode.PEOPLE)
    show.verdict(code, "unknown", residue, "because", run="r-1")
    text = out.getvalue()
    assert ("DIRTY" in text) == (residue == "dirty") == ("invoke chaos.revert --run r-1" in text)
    assert ("PASS" in text) == (code is ExitCode.HELD and residue != "dirty")


def test_a_closed_terminal_does_not_stop_a_run() -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:  # type: ignore[explicit-override]  # from 3.12
            raise BrokenPipeError

    a_run(Show(Mode.PEOPLE, Gone()))


def test_a_terminal_without_unicode_gets_plain_signs() -> None:
    class Latin(io.StringIO):
        encoding = "latin-1"

    out = Latin()
    show = Show(Mode.PEOPLE, out)
    show.progress("hold", 1, 2, f"a · b → c {spark([1, 2])}")
    assert out.getvalue().isascii()


def test_tables_align_and_use_plain_words() -> None:
    rows = [
        {"name": "venue", "ssh": True, "services": {"venue": True}},
        {"name": "x", "ssh": False, "services": {"y": False}},
    ]
    assert table(rows) == ["name   ssh  services", "venue  yes  venue", "x      no   y DOWN"]
    assert table([{"boots": None}]) == ["boots", "-"]
    assert table([]) == []


def test_sparklines_start_at_zero() -> None:
    assert spark([0, 1, 2]) == "▁▄█" or spark([0, 1, 2]) == "▁▅█"
    assert spark([]) == ""
    assert spark([0, 0]) == "▁▁"


@pytest.mark.parametrize("mode", [Mode.PEOPLE, Mode.LINES, Mode.JSON])
@pytest.mark.parametrize(
    ("residue", "says", "command"),
    [
        ("dirty", ("DIRTY", "Hosts may be dirty."), "invoke chaos.revert --run r-1"),
        ("clean", ("UNKNOWN", "Hosts clean: verified. The verdict is unknown."), "invoke check.all"),
    ],
)
def test_exit_code_5_says_which_of_the_two_and_the_one_command(
    mode: Mode, residue: str, says: tuple[str, ...], command: str
) -> None:
    show, out = shown(mode)
    show.verdict(5, "unknown", residue, "because", run="r-1")
    assert out.getvalue().count("invoke ") == 1
    assert command in out.getvalue()
    for words in says if mode is Mode.PEOPLE else ():
        assert words in out.getvalue()
