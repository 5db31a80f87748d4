"""gameday.*: runbooks, and the notes and reports of runs."""

from __future__ import annotations

from invoke.collection import Collection

from stormdesk.cli import commands, fault_flags
from stormdesk.cli.command import command
from stormdesk.cli.options import ALLOW, JSON, WHERE, Options
from stormdesk.core.errors import UsageError
from stormdesk.core.values import Seed


@command(JSON, name="list")
def list_(options: Options) -> None:
    """List the runbooks by family, with their last results.

    Those are from runs/: the verdict, when the run began, and which code the desk ran."""
    from stormdesk.cli import runbooks
    from stormdesk.run.results import last_results

    results = last_results()
    rows = []
    for entry in (entry for path in runbooks.known() for entry in runbooks.entries(path)):
        last = results.get(entry.name)
        rows.append(
            {
                "family": entry.family,
                "runbook": entry.name,
                "scenarios": list(entry.book.scenarios),
                "suites": entry.suites,
                "tags": list(entry.book.tags),
                "verdict": last and last.verdict,
                "when": last and last.when,
                "commit": last and last.commit,
                "title": entry.book.title,
            }
        )
    options.show.rows("runbooks", rows)


@command(JSON, name="next", hint="[--suite S]", help={"suite": "only the runbooks of a suite, such as tier1 or nightly"})
def next_(options: Options, suite: str = "") -> None:
    """Name the runbook whose result is known least, and why.

    Never run comes first, then unknown, then older than 30 days, then run on other code, then the oldest."""
    from stormdesk.cli import game_days

    game_days.least_known(options, suite)


BOOK = {
    "runbook": "a file, or its name in runbooks/; NAME[VARIANT] is one of several",
    "suite": "instead: all runbooks of a suite, such as tier1 or nightly",
    "seed": "seed of its random choices; default: random",
}
KINDS = {"seed": Seed, **{name: kind for name, kind in fault_flags.KINDS.items() if name in ALLOW}}


@command(
    {**WHERE, **ALLOW, **JSON},
    effect="run the game day {runbook}{suite}",
    hint="--runbook R [--env N] [--abort-on-fail]",
    help={
        **BOOK,
        "resume": "of a suite: run what is left of it on these hosts",
        "confirm": "ask before each lane, before anything is touched",
        "abort_on_fail": "if it fails, pause the desk and pull every kill switch, as stack.abort does",
    },
    kinds=KINDS,
)
def run(
    options: Options,
    runbook: str = "",
    suite: str = "",
    seed: Seed | None = None,
    resume: bool = False,
    confirm: bool = False,
    abort_on_fail: bool = False,
) -> int:
    """Run a runbook, or a suite.

    Without --confirm it never asks. Ctrl-C ends it in order (exit code 4) and is no failure. Environment variables count too:
    NONINTERACTIVE, PAUSE_ON_FAIL, API, REDIS_CONTAINER, HEARTBEAT_MAX, WAIT_READY_TIMEOUT (docs/operators.md)."""
    from stormdesk.cli import game_days

    _one_of(runbook, suite)
    how = {"abort_on_fail": abort_on_fail, "confirm": confirm}
    if suite:
        return game_days.suite(options, suite, seed, resume=resume, **how)
    if resume:
        raise UsageError("--resume is for a suite: invoke gameday.run --suite S --resume")
    return game_days.game_day(options, runbook, seed, **how)


@command({**WHERE, **ALLOW, **JSON}, hint="--runbook R [--env N]", help=BOOK, kinds=KINDS)
def plan(options: Options, runbook: str = "", suite: str = "", seed: Seed | None = None) -> int:
    """Show what a runbook or a suite would do.

    Asks the hosts, plans every step and checks the whole; nothing is touched."""
    from stormdesk.cli import game_days

    _one_of(runbook, suite)
    if suite:
        return game_days.suite(options, suite, seed, plan_only=True)
    return game_days.game_day(options, runbook, seed, plan_only=True)


def _one_of(runbook: str, suite: str) -> None:
    if runbook and suite:
        raise UsageError("--runbook and --suite both say what to run. Use one of them")


@command(
    effect="write the report of run {run} again",
    hint="--run ID",
    help={"run": "the id of a run in runs/"},
)
def report(_: Options, run: str = "") -> None:
    """Write a run's report again."""
    print(commands.report_again(run))


@command(
    JSON,
    hint="--run ID [--head H]",
    help={
        "run": "the id of a run in runs/",
        "head": "the end of its chain, as the run printed it: kept where nobody can change it",
    },
)
def verify(options: Options, run: str = "", head: str = "") -> int:
    """Name what was changed in a run's files.

    Compares them with the run's audit log. Exit code 1 names files and lines; 5: the run was never sealed."""
    return commands.verify(options, run, head)


@command(
    effect="add a note to the record of run {run}",
    hint="--run ID --text T [--by NAME]",
    help={"run": "the id of a run in runs/", "text": "the remark", "by": "whose it is; default: user@machine"},
)
def note(_: Options, run: str = "", text: str = "", by: str = "") -> None:
    """Add a person's note to a run, also while it is under way."""
    who = commands.note(run, text, by)
    print(f"noted by {who}. Reports written from now on have it: invoke gameday.report --run {run}")


def group() -> Collection:
    """gameday.* in the order of the menu."""
    return Collection("gameday", list_, next_, plan, run, note, report, verify)
