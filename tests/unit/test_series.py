"""Game days one after the other: how each ended, and the exit code of all."""

from __future__ import annotations

import pytest

from stormdesk.core.errors import ExitCode, LackingError, RefusedError, StormdeskError, TransportError
from stormdesk.core.model import Verdict
from stormdesk.core.outcome import Outcome
from stormdesk.core.series import Ended, counts, ended, exit_code, refused


def run(code: ExitCode, residue: str = "clean") -> Ended:
    return ended("a", ("X-01",), Outcome("r-1", code, Verdict.UNKNOWN, residue, "why"), 1.26)


LACKING, NO = refused("b", (), LackingError("no netem")), refused("c", (), RefusedError("not steady"))


@pytest.mark.parametrize(
    ("all_of_them", "code"),
    [
        ([run(ExitCode.HELD), run(ExitCode.HELD)], ExitCode.HELD),
        ([run(ExitCode.HELD), run(ExitCode.VIOLATED)], ExitCode.VIOLATED),
        ([run(ExitCode.VIOLATED), run(ExitCode.DIRTY, "dirty")], ExitCode.DIRTY),
        ([run(ExitCode.HELD), run(ExitCode.STOPPED)], ExitCode.STOPPED),
        ([run(ExitCode.HELD), LACKING], ExitCode.HELD),
        ([run(ExitCode.HELD), NO], ExitCode.REFUSED),
        ([run(ExitCode.VIOLATED), NO], ExitCode.VIOLATED),
        ([LACKING], ExitCode.REFUSED),
        ([], ExitCode.REFUSED),
    ],
)
def test_the_worst_counts_and_what_lacks_neither_passes_nor_fails(all_of_them: list[Ended], code: ExitCode) -> None:
    assert exit_code(all_of_them) is code


def test_what_was_not_run_is_told_apart() -> None:
    assert (
        counts([run(ExitCode.HELD), LACKING, run(ExitCode.VIOLATED), NO]) == "1 held, 1 violated, 1 refused; 1 not run"
    )
    assert counts([LACKING]) == "none was run; 1 not run"
    assert run(ExitCode.DIRTY, "dirty").result == "dirty"
    assert run(ExitCode.DIRTY).result == "unknown"


@pytest.mark.parametrize("error", [RefusedError("x"), TransportError("x")])
def test_only_what_lacks_is_not_run(error: StormdeskError) -> None:
    assert refused("a", (), error).result == "refused"
    assert Ended("b", (), "not run", 3, "no netem") == LACKING
