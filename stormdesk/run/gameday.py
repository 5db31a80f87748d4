"""Runs a runbook: one run of its schedule, with its budget, expectations and checks."""

from __future__ import annotations

import time
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
from stormdesk.run.record import runs_folder
from stormdesk.run.request import Request
from stormdesk.run.run_checks import REPORTS, write_reports
from stormdesk.run.show import Show
from stormdesk.run.stack import Watch
from stormdesk.ssh.pool import Pool
from stormdesk.ssh.transport import Dialer

NOTHING_MORE = Allow()


def run(
    book: Runbook, path: str, inventory: Inventory, dialer: Dialer, show: Show, seed: int, watch: Watch, acting: Acting,
    holder_of: HolderOf, *, plan_only: bool = False, confirm: bool = False, allow: Allow = NOTHING_MORE,
) -> Outcome:
    """All of it, as one run; with `plan_only` nothing is touched. Raises like `runner.run` before the first touch."""
    if lacking := book.needs.lacking(inventory):
        raise LackingError(f"{lacking}. Nothing was changed")
    with Pool(inventory, dialer) as pool:  # nobody is asked yet
        stack = watch(pool)
    if book.stop_when and stack is None:
        raise LackingError(f"stop_when needs a stack that can be watched, and {inventory.environment} has none. Nothing was changed")
    for do in book.faults:
        aim.check(do.hosts, inventory, stack)
    for host in book.watched:
        inventory.host(host)
    variant = f"[{book.variant}]" if book.variant else ""
    show.say(book.title)
    if why := shut(book.windows, book.freeze, time.time(), suites.timers(book)[0]):
        if not plan_only:
            raise RefusedError(f"{why}. Nothing was changed")
        show.phase("window", f"it would be refused now: {why}", ok=False)
    asked = flags.load()
    name = {"name": Path(path).stem + variant, "path": path, "scenario": book.scenario}
    request = Request(
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
    return runner.run(request, inventory, dialer, show, watch, acting, holder_of)


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
