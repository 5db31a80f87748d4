"""gameday.*: runbooks."""

from __future__ import annotations

from invoke.collection import Collection

from stormdesk.cli import commands
from stormdesk.cli.command import command
from stormdesk.cli.options import JSON, WHERE, Options
from stormdesk.core.values import Seed


@command(JSON, name="list")
def list_(options: Options) -> None:
    """List the runbooks."""
    from stormdesk.cli import runbooks

    books = [(path, runbooks.read(path)) for path in runbooks.known()]
    rows = [{"runbook": path.stem, "scenario": book.scenario, "title": book.title} for path, book in books]
    options.show.rows("runbooks", rows)


@command(
    {**WHERE, **JSON},
    effect="run the game day {runbook}",
    hint="--runbook R [--env N] [--abort-on-fail]",
    help={
        "runbook": "a file, or its name in runbooks/",
        "seed": "of its random choices; default: random",
        "abort_on_fail": "if it fails, pause the desk and pull every kill switch, as stack.abort does",
    },
    kinds={"seed": Seed},
)
def run(options: Options, runbook: str = "", seed: Seed | None = None, abort_on_fail: bool = False) -> int:
    """Run a runbook.

    It never asks. Ctrl-C ends it in order (exit code 4) and is no failure."""
    return commands.game_day(options, runbook, seed, abort_on_fail=abort_on_fail)


@command(
    effect="write the report of run {run} again",
    hint="--run ID",
    help={"run": "the id of a run in runs/"},
)
def report(_: Options, run: str = "") -> None:
    """Write a run's report again."""
    print(commands.report_again(run))


def group() -> Collection:
    """gameday.* in the order of the menu."""
    return Collection("gameday", list_, run, report)
