"""Suites: what is in them, how long they take, and how they go on where they stopped."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stormdesk.cli import runbooks
from stormdesk.cli.one_by_one import Series
from stormdesk.core import suites
from stormdesk.core.errors import ExitCode, LackingError, RefusedError, UsageError
from stormdesk.core.model import Verdict
from stormdesk.core.outcome import Outcome
from stormdesk.core.runbook import parse
from stormdesk.core.series import Ended
from stormdesk.evidence.judges import JUDGES
from stormdesk.faults import FAULTS
from stormdesk.run import suite_file


def entry(name: str) -> runbooks.Entry:
    text = "```yaml\ntitle: T\nrto_s: 30\nsteps:\n  - {fault: noop, host: ops, for: 2s}\n  - {wait: 3s}\n```"
    return runbooks.Entry(name, Path(f"{name}.md"), parse(text, name, FAULTS, tuple(JUDGES)))


ENTRIES = [entry("a"), entry("b"), entry("c")]


class Said:
    """What a presenter was told."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.table: list[dict[str, Any]] = []

    def say(self, text: str) -> None:
        self.lines.append(text)

    def gathering(self) -> Said:
        return self

    def rows(self, _: str, rows: list[dict[str, Any]]) -> None:
        self.table = rows


def play(*ends: Outcome | BaseException, ended: list[Ended] | None = None) -> tuple[Series, Said]:
    """Play ENTRIES, each of which ends so."""
    left, said = list(ends), Said()

    def one(_: runbooks.Entry) -> Outcome:
        end = left.pop(0)
        if isinstance(end, BaseException):
            raise end
        return end

    aborted: Callable[[str, ExitCode, str], None] = lambda *_: None  # noqa: E731
    day: Any = SimpleNamespace(play=one, show=said, aborted=aborted)
    found = Series(day, ENTRIES, ended or [])
    found.run()
    found.show()
    assert not left
    return found, said


def outcome(code: ExitCode, residue: str = "clean", *, by_signal: bool = False) -> Outcome:
    return Outcome("r-1", code, Verdict.UNKNOWN, residue, "why", by_signal=by_signal)


HELD = outcome(ExitCode.HELD)


def test_all_are_played_and_the_worst_counts() -> None:
    found, said = play(HELD, outcome(ExitCode.VIOLATED), outcome(ExitCode.STOPPED))
    assert [each.result for each in found.ended] == ["held", "violated", "stopped"]
    assert found.exit_code is ExitCode.STOPPED
    assert [row["runbook"] for row in said.table] == ["a", "b", "c"]
    assert said.lines[-1] == "1 held, 1 violated, 1 stopped"


def test_it_says_what_runs_what_is_left_and_when_it_will_be_over() -> None:
    _, said = play(HELD, HELD, HELD)
    shown = [line for line in said.lines if " of 3: " in line]
    assert shown[0].startswith("1 of 3: a   2 left after it   over between ")
    assert shown[2].startswith("3 of 3: c   over between ")
    assert suites.timers(ENTRIES[0].book) == (5, 35)


def test_what_is_refused_is_no_end_of_the_others() -> None:
    found, _ = play(LackingError("no netem"), RefusedError("not steady"), HELD)
    assert [each.result for each in found.ended] == ["not run", "refused", "held"]
    assert found.exit_code is ExitCode.REFUSED
    assert play(LackingError("no netem"), HELD, HELD)[0].exit_code is ExitCode.HELD


def test_a_signal_ends_it_and_what_it_stopped_is_left() -> None:
    for end in (outcome(ExitCode.STOPPED, by_signal=True), KeyboardInterrupt("SIGINT")):
        found, said = play(HELD, end)
        assert ([each.name for each in found.ended], [each.name for each in found.left]) == (["a"], ["b", "c"])
        assert found.exit_code is ExitCode.STOPPED
        assert said.lines[-2:][0] == "1 held; 2 left"
        again, _ = play(HELD, HELD, ended=found.ended)
        assert [each.name for each in again.ended] == ["a", "b", "c"]
        assert again.exit_code is ExitCode.HELD


def test_nothing_follows_hosts_that_may_be_dirty() -> None:
    found, _ = play(outcome(ExitCode.DIRTY, "dirty"))
    assert [each.result for each in found.ended] == ["dirty"]
    assert found.exit_code is ExitCode.DIRTY


@pytest.mark.parametrize(
    ("family", "tags", "found"),
    [
        ("tier1", [], ["tier1", "nightly"]),
        ("network/deep", [], ["network", "nightly"]),
        ("", ["leader"], ["leader"]),
        ("mine", ["nightly", "fast"], ["nightly"]),
        ("extras", ["tier3"], ["tier3", "extras", "nightly"]),
        ("", [], []),
    ],
)
def test_a_suite_has_its_families_and_tags(family: str, tags: list[str], found: list[str]) -> None:
    assert suites.of(family, tags) == found


def test_a_suite_of_another_name_is_an_error_that_knows_a_better_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"--suite nigthly: no such suite\. Did you mean: nightly\?"):
        runbooks.suite("nigthly")


def test_how_far_a_suite_has_come_is_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORMDESK_RUNS", str(tmp_path / "runs"))
    with pytest.raises(UsageError, match="nothing of the suite tier1 was run on core"):
        suite_file.resumed("tier1", "core")
    begun = suite_file.started("tier1", "core", 7)
    ended = Ended("partition[3s]", ("N-01",), "held", 0, "hypothesis held", "r-1", 3.5)
    suite_file.keep_ended(begun, [ended])
    found = suite_file.resumed("tier1", "core")
    assert (found.seed, list(found.ended)) == (7, [ended])
    assert suite_file.started("tier1", "core", 8).ended == ()
    path = suite_file.path_of("tier1", "core")
    path.write_text(path.read_text()[:-9])
    with pytest.raises(UsageError, match=r"--resume: .*tier1@core\.json: .*Start anew"):
        suite_file.resumed("tier1", "core")
