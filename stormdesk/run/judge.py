"""The checks of a run: ours are called, a project's own are run by pytest."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

from stormdesk import durable
from stormdesk.core.inventory import Inventory
from stormdesk.core.model import CheckResult, Verdict
from stormdesk.core.outcome import as_demanded
from stormdesk.evidence import judging_run, junit
from stormdesk.evidence.gathered import Evidence
from stormdesk.evidence.judging_run import NO_CHECK, Answer
from stormdesk.evidence.take_cut import NO_RUN, RunFacts
from stormdesk.run import settings
from stormdesk.ssh.parallel import Run
from stormdesk.ssh.testinfra_backend import pooled


def judge(
    inventory: Inventory,
    run: Run,
    what: Sequence[str],
    folder: Path,
    *,
    own: Sequence[Path] | None = None,
    report: Path | None = None,
    facts: RunFacts = NO_RUN,
    violated: Sequence[str] = (),
) -> list[CheckResult]:
    """Ask `what` of steady, invariants, residue of the hosts of `inventory`, which `run` reaches (`Pool.run`).

    `own` are folders of more checks (default: those that the project's invoke.yaml names). `folder`, new or empty, gets
    the cut that the invariants judge; `report` a JUnit report; `facts` is what a run knows besides; `violated` are checks
    that it must violate.
    Nothing that a check runs into is raised: it makes that check unknown.
    """
    own = settings.load().checks if own is None else own
    started, began = datetime.now(UTC), time.monotonic()
    evidence = Evidence(folder, inventory, run, pooled(inventory.hosts, run), facts=facts, own=own)
    answers = _demanded(judging_run.answers(evidence, what), violated)
    results = [answer.result for answer in answers if answer.result is not None]
    more: list[ElementTree.Element] = []
    if own:
        found, more = _own(evidence, what, report)
        results += found
    if report is not None:
        took_s = time.monotonic() - began
        data = junit.document(answers, more, started.strftime("%Y-%m-%dT%H:%M:%S"), took_s, socket.gethostname())
        try:
            durable.replace(report, data, mode=0o644)
        except OSError as error:
            results.append(CheckResult("checks", Verdict.UNKNOWN, f"{report} was not written: {error.strerror}"))
    return results or [CheckResult("checks", Verdict.UNKNOWN, NO_CHECK)]


def _demanded(answers: Sequence[Answer], violated: Sequence[str]) -> list[Answer]:
    """The answers, those of checks that had to be violated turned round."""
    results = iter(as_demanded([answer.result for answer in answers if answer.result is not None], violated))
    return [replace(answer, result=next(results)) if answer.result is not None else answer for answer in answers]


def _own(
    evidence: Evidence, what: Sequence[str], report: Path | None
) -> tuple[list[CheckResult], list[ElementTree.Element]]:
    """What a project's own checks say, and the testcases of their session's report, which is then taken away."""
    from stormdesk.checks.run import session  # pytest: costs more than all of ours

    results = session(evidence, what, evidence.own, report)
    with contextlib.suppress(OSError, ElementTree.ParseError):
        if report is not None:
            return results, list(ElementTree.parse(report).iter("testcase"))  # noqa: S314  our own file
    return results, []
