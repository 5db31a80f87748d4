"""From the flags of gameday.run and gameday.plan to runs."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from stormdesk.cli.commands import PASSED, holder_of, safe_state, watch
from stormdesk.cli.one_by_one import Series
from stormdesk.cli.options import Options
from stormdesk.core import series
from stormdesk.core.errors import ExitCode, LackingError, UsageError

if TYPE_CHECKING:
    from stormdesk.cli.runbooks import Entry
    from stormdesk.cli.show import Show
    from stormdesk.core.inventory import Inventory
    from stormdesk.core.outcome import Outcome
    from stormdesk.core.safety import Allow
    from stormdesk.run.gameday import Planned
    from stormdesk.ssh.pool import Pool
    from stormdesk.ssh.transport import Dialer


@dataclass(frozen=True)
class Day:
    """Game days on these hosts. With `abort_on_fail`, one that failed leaves the desk in its safe state."""

    hosts: Inventory
    dialer: Dialer
    show: Show
    seed: int
    allow: Allow
    plan_only: bool = False
    abort_on_fail: bool = False
    confirm: bool = False

    def play(self, entry: Entry) -> Outcome:
        """Run it, or plan it. Raises what gameday.run raises while nothing was touched."""
        from stormdesk.desk.acts import perform
        from stormdesk.run import gameday

        return gameday.run(
            entry.book, str(entry.path), self.hosts, self.dialer, self.show, self.seed, watch, perform, holder_of,
            plan_only=self.plan_only, confirm=self.confirm, allow=self.allow,
        )  # fmt: skip

    def plan(self, entry: Entry, pool: Pool) -> Planned:
        """Its plans. Raises what `play` raises while nothing is touched."""
        from stormdesk.run import gameday

        return gameday.plan(entry.book, str(entry.path), pool, self.seed, watch, holder_of, self.allow)

    def aborted(self, name: str, code: ExitCode, why: str) -> bool | None:
        """Pause the desk and pull every kill switch if it has to be; whether that came about."""
        if not self.abort_on_fail or code in PASSED:
            return None
        report = safe_state(self.hosts, self.dialer, f"game day {name}: {why}")
        for line in report.lines:
            self.show.say(line)
        return report.exit_code is ExitCode.HELD


def game_day(
    options: Options,
    runbook: str,
    seed: int | None,
    *,
    abort_on_fail: bool = False,
    plan_only: bool = False,
    confirm: bool = False,
) -> int:
    """Run a runbook, by its path or its name in runbooks/, or only plan it; all its variants one after the other. Returns the exit code.

    With `abort_on_fail`, a game day that failed leaves the desk in its safe state: paused, and every kill switch on.
    """
    from stormdesk.cli import runbooks

    if not runbook:
        example = next((path.stem for path in runbooks.known()), "FILE")
        raise UsageError(f"--runbook is required. Known: {runbooks.some()}.  e.g. --runbook {example}")
    entries = runbooks.chosen(runbook)  # reports mistakes in the file before hosts are resolved
    day = _day(options, seed, plan_only=plan_only, abort_on_fail=abort_on_fail, confirm=confirm)
    document: dict[str, object] = {"runbook": str(entries[0].path), "seed": day.seed}
    if len(entries) > 1:
        return _end(options, document, day, _all(Series(day, entries)))
    try:
        outcome = day.play(entries[0])
    except LackingError as error:
        raise LackingError(f"{entries[0].name} was not run: {error}") from error
    code, aborted = outcome.exit_code, day.aborted(entries[0].name, outcome.exit_code, outcome.why)
    document |= {} if aborted is None else {"aborted": aborted}
    options.show.result({**document, "exit_code": int(code), "steps": day.show.gathered})
    return int(code)


def suite(
    options: Options,
    name: str,
    seed: int | None,
    *,
    resume: bool = False,
    abort_on_fail: bool = False,
    plan_only: bool = False,
    confirm: bool = False,
) -> int:
    """Run the runbooks of a suite one after the other, or only plan them; with `resume` those that are left. Returns the exit code."""
    from stormdesk.cli import runbooks
    from stormdesk.run import suite_file

    entries = runbooks.suite(name)
    day = _day(options, seed, plan_only=plan_only, abort_on_fail=abort_on_fail, confirm=confirm)
    where = day.hosts.environment
    file = None
    if resume:
        file = suite_file.resumed(name, where)
        day = replace(day, seed=file.seed)
    elif not plan_only:
        file = suite_file.started(name, where, day.seed)
    document: dict[str, object] = {"suite": name, "environment": where, "seed": day.seed}
    if file is None:
        return _end(options, document, day, _all(Series(day, entries)))
    known, begun = {entry.name for entry in entries}, file
    before = [each for each in file.ended if each.name in known]
    all_of_them = Series(day, entries, before, lambda ended: suite_file.keep_ended(begun, ended))
    return _end(options, document, day, _all(all_of_them))


def _day(options: Options, seed: int | None, *, plan_only: bool, abort_on_fail: bool, confirm: bool) -> Day:
    """The hosts that were chosen. Raises what finding them raises."""
    from stormdesk.desk.http_services import Services
    from stormdesk.run import consent, flags
    from stormdesk.ssh.pool import Pool

    if confirm:
        consent.need_terminal()
    hosts, dialer = options.reach()
    abort_on_fail = abort_on_fail or (flags.load().pause_on_fail and not plan_only)
    if abort_on_fail:
        Services(Pool(hosts, dialer)).hosts("orchestrator")  # refused now when nobody could be told to stop
    number = secrets.randbelow(2**32) if seed is None else seed
    return Day(hosts, dialer, options.show.gathering(), number, options.allow, plan_only, abort_on_fail, confirm)


def _all(all_of_them: Series) -> Series:
    if all_of_them.day.plan_only:
        all_of_them.plan()
    else:
        all_of_them.run()
    all_of_them.show()
    return all_of_them


def _end(options: Options, document: Mapping[str, object], day: Day, all_of_them: Series) -> int:
    """The result of several, for programs."""
    code = int(all_of_them.exit_code)
    runs, left = series.rows(all_of_them.ended), [entry.name for entry in all_of_them.left]
    options.show.result({**document, "exit_code": code, "runs": runs, "left": left, "steps": day.show.gathered})
    return code


def least_known(options: Options, suite_name: str) -> None:
    """Say which runbook, of all or of a suite, to run next, and why. Raises UsageError when there are none."""
    from stormdesk.cli import runbooks
    from stormdesk.core import age, shell
    from stormdesk.run.results import last_results

    every = [entry for path in runbooks.known() for entry in runbooks.entries(path)]
    entries = runbooks.suite(suite_name) if suite_name else every
    found = age.least_known({entry.name: entry.book.digest for entry in entries}, last_results(), time.time())
    if found is None:
        raise UsageError("there are no runbooks. They are in the folders that invoke.yaml names")
    options.show.say(f"{found.name}: {found.reason}")
    options.show.say(f"invoke gameday.run --runbook {shell.words((found.name,))}")
    options.show.result({"runbook": found.name, "reason": found.reason})
