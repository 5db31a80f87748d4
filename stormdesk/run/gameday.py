"""Runs a runbook: one run of its schedule, with its budget, expectations and checks."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from stormdesk.core import suites
from stormdesk.core.allowed_times import shut
from stormdesk.core.audit import NAME as AUDIT
from stormdesk.core.errors import LackingError, RefusedError
from stormdesk.core.inventory import Inventory
from stormdesk.core.outcome import Outcome
from stormdesk.core.runbook import Runbook
from stormdesk.core.safety import Allow
from stormdesk.evidence.judges import ALWAYS
from stormdesk.run import aim, audit, flags, runner
from stormdesk.run.aside import Acting
from stormdesk.run.breakpoints import HolderOf
from stormdesk.run.record import new_run_id, runs_folder
from stormdesk.run.request import Request
from stormdesk.run.run_checks import REPORTS, write_reports
from stormdesk.run.show import Show
from stormdesk.run.stack import Stack, Watch
from stormdesk.run.whole import Plans
from stormdesk.ssh.pool import Pool
from stormdesk.ssh.transport import Dialer

NOTHING_MORE = Allow()


def run(
    book: Runbook, path: str, inventory: Inventory, dialer: Dialer, show: Show, seed: int, watch: Watch, acting: Acting,
    holder_of: HolderOf, *, plan_only: bool = False, confirm: bool = False, allow: Allow = NOTHING_MORE,
) -> Outcome:
    """All of it, as one run; with `plan_only` nothing is touched. Raises like `runner.run` before the first touch."""
    with Pool(inventory, dialer) as pool:  # nobody is asked yet
        asked = request(book, path, inventory, watch(pool), seed, plan_only=plan_only, confirm=confirm, allow=allow)
    announce(book, show, plan_only=plan_only)
    return runner.run(asked, inventory, dialer, show, watch, acting, holder_of)


@dataclass(frozen=True)
class Planned:
    """A runbook as it would be run now."""

    book: Runbook
    plans: Plans
    took_s: float

    def show(self, show: Show) -> Outcome:
        """As `gameday.run` with `plan_only` shows it."""
        announce(self.book, show, plan_only=True)
        self.plans.show(show, self.took_s)
        return self.plans.only(show)


def plan(
    book: Runbook, path: str, pool: Pool, seed: int, watch: Watch, holder_of: HolderOf, allow: Allow = NOTHING_MORE
) -> Planned:
    """Only its plans, over connections that others use too; thread-safe. Raises like `runner.run` before the first touch."""
    began, stack = time.monotonic(), watch(pool)
    asked = request(book, path, pool.inventory, stack, seed, plan_only=True, allow=allow)
    plans = Plans(pool, asked, new_run_id(), stack, holder_of)
    return Planned(book, plans, time.monotonic() - began)


def announce(book: Runbook, show: Show, *, plan_only: bool) -> None:
    """Say what it is. Raises RefusedError when it may not run now; a plan only says that."""
    show.say(book.title)
    if why := shut(book.windows, book.freeze, time.time(), suites.timers(book)[0]):
        if not plan_only:
            raise RefusedError(f"{why}. Nothing was changed")
        show.phase("window", f"it would be refused now: {why}", ok=False)


def request(
    book: Runbook, path: str, inventory: Inventory, stack: Stack | None, seed: int, *, plan_only: bool = False,
    confirm: bool = False, allow: Allow = NOTHING_MORE,
) -> Request:
    """What a runbook asks for. Raises LackingError or UsageError for what this environment has not."""
    if lacking := book.needs.lacking(inventory):
        raise LackingError(f"{lacking}. Nothing was changed")
    if book.stop_when and stack is None:
        raise LackingError(f"stop_when needs a stack that can be watched, and {inventory.environment} has none. Nothing was changed")
    for do in book.faults:
        aim.check(do.hosts, inventory, stack)
    for host in book.watched:
        inventory.host(host)
    variant = f"[{book.variant}]" if book.variant else ""
    asked = flags.load()
    name = {"name": Path(path).stem + variant, "path": path, "scenario": book.scenario}
    return Request(
        flags.aimed(book.schedule, inventory, asked.redis),
        plan_only=plan_only,
        confirm=confirm,
        allow=allow,
        seed=seed,
        rto_s=asked.wait_ready_s or book.rto_s,
        argv=("gameday.run", "--runbook", path + variant, "--seed", str(seed)),
        checks=(*(book.checks or (ALWAYS if inventory.trading else ())), *book.violated),
        violated=book.violated,
        situations=book.situations,
        goals=book.goals,
        stop_when=book.stop_when,
        runbook={**name, "title": book.title, "hypothesis": book.hypothesis, "digest": book.digest},
    )


def report(run: str) -> str:
    """Write the reports of a run again, from its directory alone; the path of report.html. Raises UsageError for no such run."""
    folder = runs_folder() / run
    written = write_reports(folder)
    if (folder / AUDIT).is_file():
        try:
            audit.seal(folder, "report", REPORTS)
        except OSError as error:
            raise RefusedError(
                f"the audit log was not written: {error.strerror}. Make room, then write the report again"
            ) from error
    return written
