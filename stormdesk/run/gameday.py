"""Runs a runbook: each step is a run like any other, with the runbook's budget, expectations and checks."""

from __future__ import annotations

from dataclasses import asdict

from stormdesk.core.errors import ExitCode, RefusedError, StormdeskError, TransportError, UsageError
from stormdesk.core.inventory import Inventory
from stormdesk.core.model import Verdict
from stormdesk.core.outcome import Outcome
from stormdesk.core.runbook import Runbook
from stormdesk.evidence.judges import ALWAYS
from stormdesk.run import aim, runner
from stormdesk.run.record import runs_folder
from stormdesk.run.request import Request
from stormdesk.run.run_checks import write_reports
from stormdesk.run.show import Show
from stormdesk.run.stack import Watch
from stormdesk.ssh.pool import Pool
from stormdesk.ssh.transport import Dialer


def run(
    book: Runbook, path: str, inventory: Inventory, dialer: Dialer, show: Show, seed: int, watch: Watch
) -> list[Outcome]:
    """All steps in order; a step that did not hold ends the game day. Raises like `runner.run` before the first touch."""
    with Pool(inventory, dialer) as pool:  # nobody is asked yet
        stack = watch(pool)
    for step in book.steps:
        aim.check(step.hosts, inventory, stack)
        for expectation in step.expect:
            if expectation.host:
                inventory.host(expectation.host)
    checks = book.checks or (ALWAYS if inventory.trading else ())
    outcomes: list[Outcome] = []
    for step in book.steps:
        show.say(f"{book.title}: step {step.id}")
        request = Request(
            fault=step.fault, hosts=step.hosts, hold_s=step.hold_s, ttl_s=step.ttl_s, seed=seed, rto_s=book.rto_s,
            argv=("gameday.run", "--runbook", path), expect=step.expect, checks=checks,
            runbook={"path": path, "title": book.title, "scenario": book.scenario, "hypothesis": book.hypothesis},
        )  # fmt: skip
        try:
            outcomes.append(runner.run(request, inventory, dialer, show, watch))
        except (RefusedError, UsageError, TransportError) as error:
            if not outcomes:
                raise
            outcomes.append(_stopped(step.id, error, show))
        if outcomes[-1].exit_code is not ExitCode.HELD:
            break
    return outcomes


def _stopped(step: str, error: StormdeskError, show: Show) -> Outcome:
    """A step that touched nothing, after others that did: the game day is stopped early, on clean hosts."""
    outcome = Outcome("", ExitCode.STOPPED, Verdict.UNKNOWN, "clean", f"stopped before step {step}: {error}")
    show.verdict(int(outcome.exit_code), outcome.verdict, outcome.residue, outcome.why)
    show.result(asdict(outcome))
    return outcome


def report(run: str) -> str:
    """Write the reports of a run again, from its directory alone; the path of report.html. Raises UsageError for no such run."""
    return write_reports(runs_folder() / run)
