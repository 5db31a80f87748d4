"""From the flags of gameday.run and gameday.plan to runs."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stormdesk.cli.commands import PASSED, holder_of, safe_state, watch
from stormdesk.cli.options import Options
from stormdesk.core import series
from stormdesk.core.errors import ExitCode, LackingError, RefusedError, TransportError, UsageError

if TYPE_CHECKING:
    from stormdesk.cli.runbooks import Entry
    from stormdesk.cli.show import Show
    from stormdesk.core.inventory import Inventory
    from stormdesk.core.outcome import Outcome
    from stormdesk.core.series import Ended
    from stormdesk.ssh.transport import Dialer


@dataclass(frozen=True)
class Day:
    """Game days on these hosts. With `abort_on_fail`, one that failed leaves the desk in its safe state."""

    hosts: Inventory
    dialer: Dialer
    show: Show
    seed: int
    plan_only: bool = False
    abort_on_fail: bool = False

    def play(self, entry: Entry) -> Outcome:
        """Run it, or plan it. Raises what gameday.run raises while nothing was touched."""
        from stormdesk.desk.acts import perform
        from stormdesk.run import gameday

        return gameday.run(
            entry.book, str(entry.path), self.hosts, self.dialer, self.show, self.seed, watch, perform, holder_of,
            plan_only=self.plan_only,
        )  # fmt: skip

    def aborted(self, name: str, code: ExitCode, why: str) -> bool | None:
        """Pause the desk and pull every kill switch if it has to be; whether that came about."""
        if not self.abort_on_fail or code in PASSED:
            return None
        report = safe_state(self.hosts, self.dialer, f"game day {name}: {why}")
        for line in report.lines:
            self.show.say(line)
        return report.exit_code is ExitCode.HELD


def game_day(
    options: Options, runbook: str, seed: int | None, *, abort_on_fail: bool = False, plan_only: bool = False
) -> int:
    """Run a runbook, by its path or its name in runbooks/, or only plan it; all its variants one after the other. Returns the exit code.

    With `abort_on_fail`, a game day that failed leaves the desk in its safe state: paused, and every kill switch on.
    """
    from stormdesk.cli import runbooks
    from stormdesk.desk.http_services import Services
    from stormdesk.run import flags
    from stormdesk.ssh.pool import Pool

    abort_on_fail = abort_on_fail or (flags.load().pause_on_fail and not plan_only)
    if not runbook:
        known = [path.stem for path in runbooks.known()]
        raise UsageError(
            f"--runbook is required. Known: {', '.join(known)}.  e.g. --runbook {min(known, default='FILE')}"
        )
    entries = runbooks.chosen(runbook)  # reports mistakes in the file before hosts are resolved
    presenter = options.show
    steps = presenter.gathering()
    seed = secrets.randbelow(2**32) if seed is None else seed
    hosts, dialer = options.reach()
    if abort_on_fail:
        Services(Pool(hosts, dialer)).hosts("orchestrator")  # refused now when nobody could be told to stop
    day = Day(hosts, dialer, steps, seed, plan_only, abort_on_fail)
    document: dict[str, object] = {"runbook": str(entries[0].path), "seed": seed}
    if len(entries) == 1:
        try:
            outcome = day.play(entries[0])
        except LackingError as error:
            raise LackingError(f"{entries[0].name} was not run: {error}") from error
        code, aborted = outcome.exit_code, day.aborted(entries[0].name, outcome.exit_code, outcome.why)
        document |= {} if aborted is None else {"aborted": aborted}
    else:
        ended = one_by_one(day, entries)
        code = series.exit_code(ended)
        document["runs"] = series.rows(ended)
        presenter.gathering().rows("runs", series.rows(ended))
        presenter.say(series.counts(ended))
    presenter.result({**document, "exit_code": int(code), "steps": steps.gathered})
    return int(code)


def one_by_one(day: Day, entries: Sequence[Entry]) -> list[Ended]:
    """Play them one after the other, until somebody stops it or hosts may be dirty."""
    done: list[Ended] = []
    for entry in entries:
        began = time.monotonic()
        scenarios = entry.book.scenarios
        try:
            outcome = day.play(entry)
        except (RefusedError, UsageError, TransportError) as error:
            done.append(series.refused(entry.name, scenarios, error))
            day.show.say(f"{entry.name} was not run: {error}")
            continue
        done.append(series.ended(entry.name, scenarios, outcome, time.monotonic() - began))
        if day.aborted(entry.name, outcome.exit_code, outcome.why) is not None or outcome.by_signal:
            break
        if outcome.residue == "dirty":
            break
    return done
