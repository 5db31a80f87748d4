"""From the flags of gameday.run and gameday.plan to runs."""

from __future__ import annotations

import secrets
from pathlib import Path

from stormdesk.cli.commands import PASSED, holder_of, safe_state, watch
from stormdesk.cli.options import Options
from stormdesk.core.errors import ExitCode, LackingError, UsageError


def game_day(
    options: Options, runbook: str, seed: int | None, *, abort_on_fail: bool = False, plan_only: bool = False
) -> int:
    """Run a runbook, by its path or its name in runbooks/, or only plan it; returns its exit code.

    With `abort_on_fail`, a game day that failed leaves the desk in its safe state: paused, and every kill switch on.
    """
    from stormdesk.cli import runbooks
    from stormdesk.desk.acts import perform
    from stormdesk.desk.http_services import Services
    from stormdesk.run import flags, gameday
    from stormdesk.ssh.pool import Pool

    abort_on_fail = abort_on_fail or (flags.load().pause_on_fail and not plan_only)
    known = {path.stem: str(path) for path in runbooks.known()}
    if not runbook:
        raise UsageError(
            f"--runbook is required. Known: {', '.join(known)}.  e.g. --runbook {min(known, default='FILE')}"
        )
    path = known.get(runbook, runbook)
    book = runbooks.read(path)  # reports mistakes in the file before hosts are resolved
    presenter = options.show
    steps = presenter.gathering()
    seed = secrets.randbelow(2**32) if seed is None else seed
    hosts, dialer = options.reach()
    if abort_on_fail:
        Services(Pool(hosts, dialer)).hosts("orchestrator")  # refused now when nobody could be told to stop
    try:
        outcome = gameday.run(book, path, hosts, dialer, steps, seed, watch, perform, holder_of, plan_only=plan_only)
    except LackingError as error:
        raise LackingError(f"{Path(path).stem} was not run: {error}") from error
    code = outcome.exit_code
    document = {"runbook": path, "seed": seed, "exit_code": int(code), "steps": steps.gathered}
    if abort_on_fail and code not in PASSED:
        report = safe_state(hosts, dialer, f"game day {Path(path).stem}: {outcome.why}")
        for line in report.lines:
            presenter.say(line)
        document["aborted"] = report.exit_code is ExitCode.HELD
    presenter.result(document)
    return int(code)
