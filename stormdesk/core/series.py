"""Game days that are run one after the other: how each ended, and what that makes of all of them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stormdesk.core.errors import ExitCode, LackingError, StormdeskError
from stormdesk.core.outcome import Outcome

NOT_RUN = "not run"
PLANNED = "planned"
RESULTS = {
    ExitCode.HELD: "held",
    ExitCode.VIOLATED: "violated",
    ExitCode.USAGE: "refused",
    ExitCode.REFUSED: "refused",
    ExitCode.STOPPED: "stopped",
    ExitCode.DIRTY: "unknown",
}


@dataclass(frozen=True)
class Ended:
    """How one of them ended. `result` is one of RESULTS, `planned`, or `not run`: the hosts lack what it takes. `run` is "" where
    nothing was begun; `took_s` in seconds."""

    name: str
    scenarios: tuple[str, ...]
    result: str
    exit_code: int
    why: str
    run: str = ""
    took_s: float = 0.0


def ended(name: str, scenarios: tuple[str, ...], outcome: Outcome, took_s: float) -> Ended:
    special = {"dirty": "dirty", "untouched": PLANNED}
    result = special.get(outcome.residue) or RESULTS.get(outcome.exit_code, "unknown")
    return Ended(name, scenarios, result, int(outcome.exit_code), outcome.why, outcome.run_id, round(took_s, 1))


def refused(name: str, scenarios: tuple[str, ...], error: StormdeskError) -> Ended:
    """Nothing was touched: the hosts lack what it takes, or something else said no."""
    result = NOT_RUN if isinstance(error, LackingError) else RESULTS.get(error.exit_code, "unknown")
    return Ended(name, scenarios, result, int(error.exit_code), str(error))


def exit_code(all_of_them: Sequence[Ended]) -> ExitCode:
    """The most serious. What was not run is no pass and no failure beside others; where nothing was run at all it is 3."""
    run = [ExitCode(each.exit_code) for each in all_of_them if each.result != NOT_RUN]
    return ExitCode.worst(*run) if run else ExitCode.REFUSED


def counts(all_of_them: Sequence[Ended]) -> str:
    """`2 held, 1 violated; 1 not run`."""
    order = dict.fromkeys([PLANNED, *RESULTS.values(), "dirty"])
    found = {result: sum(each.result == result for each in all_of_them) for result in order}
    said = ", ".join(f"{number} {result}" for result, number in found.items() if number) or "none was run"
    left = sum(each.result == NOT_RUN for each in all_of_them)
    return said + (f"; {left} {NOT_RUN}" if left else "")


def rows(all_of_them: Sequence[Ended]) -> list[dict[str, object]]:
    """The table of them."""
    return [
        {
            "runbook": each.name,
            "scenarios": list(each.scenarios),
            "result": each.result,
            "took_s": each.took_s,
            "run": each.run,
            "why": each.why,
        }
        for each in all_of_them
    ]
