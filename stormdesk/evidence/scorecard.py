"""scorecard.json: the numbers of a run, for programs. Pure."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from stormdesk.evidence.story import Story


class Counts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many checks said what."""

    held: int
    violated: int
    unknown: int


class Scorecard(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A value that was not measured is null. `started_at` is RFC 3339 in UTC."""

    run: str
    fault: str
    environment: str | None
    hosts: list[str]
    started_at: str
    duration_s: float
    verdict: str
    residue: str
    exit_code: int | None
    why: str
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


def scorecard(story: Story) -> Scorecard:
    """The scorecard of a run."""
    budget, took = story.recovered.get("budget_s"), story.recovered.get("took_s")
    late = [host.lateness_ms for host in story.hosts if host.lateness_ms is not None]
    verdicts = [check.verdict for check in (*story.checks, *story.expectations)]
    return Scorecard(
        run=story.run,
        fault=story.fault,
        environment=story.start.get("environment"),
        hosts=list(dict.fromkeys(host.host for host in story.hosts)),
        started_at=rfc3339(story.started_t),
        duration_s=round(story.ended_t - story.started_t, 3),
        verdict=story.verdict,
        residue=story.residue,
        exit_code=story.exit_code,
        why=story.why,
        orders_accepted=story.accepted,
        orders_refused=story.refused,
        venue_calls_for_refused=story.calls_for_refused,
        recovery_s=None if took is None else round(float(took), 3),
        recovery_budget_s=budget,
        recovered_in_budget=None if budget is None else took is not None and took <= budget,
        drain_s=story.cut.meta.drain_s if story.cut and story.cut.meta else None,
        reverted_by=sorted({host.reverted_by for host in story.hosts if host.reverted_by}),
        lateness_ms=max(late, default=None),
        checks=Counts(
            held=verdicts.count("held"), violated=verdicts.count("violated"), unknown=verdicts.count("unknown")
        ),
    )


def rfc3339(t: float) -> str:
    """An instant as people write it, UTC."""
    return datetime.fromtimestamp(t, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
