"""scorecard.json: the numbers of a run, for programs. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import PurePath

import msgspec

from stormdesk.core.errors import ExitCode
from stormdesk.evidence import signs
from stormdesk.evidence.judges import lost_orders
from stormdesk.evidence.story import Story

ORDER_CHECKS = ("I-01", "I-02", "I-06", "I-07", "I-11", "I-12", "I-17", "I-18", "I-19", "I-20", "I-21", "refusals")
STATE_CHECKS = ("I-04", "I-05", "I-08", "I-10", "I-13", "I-14")


class Counts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many checks said what."""

    held: int
    violated: int
    unknown: int


class Scorecard(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A value that was not measured is null. `started_at` is RFC 3339 in UTC.

    `state`: pass, fail, unknown, stopped, refused or dirty, the one word that stands for the run. `scenario`: the runbook's, "" outside a
    game day. `detect_s`, `alert_s`: from the fault to the first sign, or alert, in the stack's own health documents. `orders_lost`:
    orders that I-03 names. `order_violations`, `state_issues`: violated checks about orders, and about what is kept.
    `feed_lag_peak_s`: the oldest market data that a trader or feeder told of, from the fault on. `runbook`: its name, "" outside a game
    day. `commit`: the project's, or the code of the system under test, as its services told it (`code` in /health); of several, all.
    """

    run: str
    fault: str
    runbook: str = ""
    scenario: str = ""
    title: str = ""
    state: str = "unknown"
    commit: str = ""
    environment: str | None
    hosts: list[str]
    started_at: str
    duration_s: float
    verdict: str
    residue: str
    exit_code: int | None
    why: str
    detect_s: float | None = None
    alert_s: float | None = None
    orders_lost: int | None = None
    order_violations: int | None = None
    state_issues: int | None = None
    feed_lag_peak_s: float | None = None
    orders_accepted: int | None
    orders_refused: int | None
    venue_calls_for_refused: int | None
    recovery_s: float | None
    recovery_budget_s: float | None
    recovered_in_budget: bool | None
    drain_s: float | None
    reverted_by: list[str]
    lateness_ms: int | None
    checks: Counts
    situations: list[str] | None


# long: a line for each number
def scorecard(story: Story) -> Scorecard:
    """The scorecard of a run."""
    book = story.runbook or {}
    said = story.signs if story.injected else ()
    budget, took = story.recovered.get("budget_s"), story.recovered.get("took_s")
    late = [host.lateness_ms for host in story.hosts if host.lateness_ms is not None]
    verdicts = [check.verdict for check in (*story.checks, *story.expectations)]
    return Scorecard(
        run=story.run,
        fault=story.fault,
        runbook=_runbook(book),
        scenario=str(book.get("scenario", "")),
        title=str(book.get("title", "")),
        state=state(story),
        commit=story.commit,
        environment=story.start.get("environment"),
        hosts=list(dict.fromkeys(host.host for host in story.hosts)),
        started_at=rfc3339(story.started_t),
        duration_s=round(story.ended_t - story.started_t, 3),
        verdict=story.verdict,
        residue=story.residue,
        exit_code=story.exit_code,
        why=story.why,
        detect_s=_rounded(signs.first_after(said, (signs.FAILING, signs.PAUSED), story.t0)),
        alert_s=_rounded(signs.first_after(said, (signs.ALERT,), story.t0)),
        orders_lost=_lost(story),
        order_violations=_violated(story, ORDER_CHECKS),
        state_issues=_violated(story, STATE_CHECKS),
        feed_lag_peak_s=_rounded(story.lag_peak_s),
        orders_accepted=story.accepted,
        orders_refused=story.refused,
        venue_calls_for_refused=story.calls_for_refused,
        recovery_s=_rounded(took),
        recovery_budget_s=budget,
        recovered_in_budget=None if budget is None else took is not None and took <= budget,
        drain_s=story.cut.meta.drain_s if story.cut and story.cut.meta else None,
        reverted_by=sorted({host.reverted_by for host in story.hosts if host.reverted_by}),
        lateness_ms=max(late, default=None),
        checks=Counts(
            held=verdicts.count("held"), violated=verdicts.count("violated"), unknown=verdicts.count("unknown")
        ),
        situations=None if story.situations is None else sorted(story.situations),
    )


def _runbook(book: Mapping[str, str]) -> str:
    """Its name, with the variant: `partition[3s]`."""
    return book.get("name") or PurePath(book.get("path") or "").stem


def state(story: Story) -> str:
    """The one word for a run. Hosts that may be dirty come first; a run that was stopped has proved nothing."""
    if story.residue == "dirty":
        return "dirty"
    if story.verdict == "unknown" and story.exit_code in (ExitCode.STOPPED, ExitCode.REFUSED):
        return "stopped" if story.exit_code == ExitCode.STOPPED else "refused"
    return {"held": "pass", "violated": "fail"}.get(story.verdict, "unknown")


def _lost(story: Story) -> int | None:
    """How many orders I-03 names; None where it is unknown or did not run."""
    verdict = next((check.verdict for check in story.checks if check.id == "I-03"), "unknown")
    if verdict == "violated":
        return lost_orders(story.cut) if story.cut else None
    return 0 if verdict == "held" else None


def _violated(story: Story, ids: Sequence[str]) -> int | None:
    """How many of these checks are violated; None where none of them came to a verdict."""
    verdicts = [check.verdict for check in story.checks if check.id in ids and check.verdict != "unknown"]
    return verdicts.count("violated") if verdicts else None


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(float(seconds), 3)


def rfc3339(t: float) -> str:
    """An instant as people write it, UTC."""
    return datetime.fromtimestamp(t, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
