"""evidence.log: a run as lines of `key,value`, the form that the leader lock's chaos test has always had. Pure.

A key whose value the run did not see is left out. docs/formats/run-record.md lists them.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from stormdesk.core.errors import ExitCode
from stormdesk.evidence.scorecard import scorecard
from stormdesk.evidence.story import Story

RESULTS = {
    ExitCode.HELD: "PASS",
    ExitCode.VIOLATED: "FAIL",
    ExitCode.REFUSED: "REFUSED",
    ExitCode.STOPPED: "STOPPED",
    ExitCode.DIRTY: "UNKNOWN",
}
LOOPS = ("scan", "order", "md")  # a trader's loops that have a heartbeat
Sample = Mapping[str, Any]


def name_of(story: Story) -> str:
    """What the run was of: its runbook, else its faults."""
    return re.sub("[^A-Za-z0-9]+", "_", scorecard(story).runbook or story.fault).strip("_") or "run"


def stamp(story: Story) -> str:
    """When it began, UTC: 2025-11-13T14-30-00."""
    return datetime.fromtimestamp(story.started_t, UTC).strftime("%Y-%m-%dT%H-%M-%S")


def text(story: Story) -> str:
    """The whole file. A value with a comma is quoted, as CSV does."""
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows(_rows(story))
    return file.getvalue()


def _rows(story: Story) -> list[tuple[str, object]]:
    result = "UNKNOWN" if story.exit_code is None else RESULTS.get(ExitCode(story.exit_code), "UNKNOWN")
    rows: list[tuple[str, object]] = [(f"{name_of(story)}_chaos_test", stamp(story))]
    rows += [*_seen(story), *_numbers(story)]
    return [(key, value) for key, value in rows if value is not None] + [("test_result", result)]


def _seen(story: Story) -> list[tuple[str, object]]:
    """Leader and readiness before, while the fault was in (the lowest that was seen) and after; the leader's heartbeats at the end."""
    phases = {name: [s for s in story.samples if s.get("phase") == name] for name in ("steady", "hold")}
    when = {
        "before": phases["steady"][-1:],
        "after_stop": phases["hold"],
        "after_recovery": story.samples[-1:] if story.recovered else (),
    }
    rows: list[tuple[str, object]] = [(f"leader_{name}", _least(samples, "leaders")) for name, samples in when.items()]
    ready = {name: _least(samples, "ready") for name, samples in when.items()}
    rows += [(f"ready_{name}", None if low is None else "ready" if low else "not_ready") for name, low in ready.items()]
    beats = _heartbeats(story.samples[-1] if story.samples else {})
    return rows + [(f"{loop}_hb", beats.get(loop)) for loop in LOOPS]


def _least(samples: Sequence[Sample], name: str) -> int | None:
    """The lowest value of a metric in the readings that have it."""
    values = [sample["metrics"][name] for sample in samples if sample.get("metrics")]
    return min((int(value) for value in values if value is not None), default=None)


def _heartbeats(sample: Sample) -> Mapping[str, float]:
    """The ages of its loops in seconds, as the leading trader says them."""
    documents = (sample.get("health") or {}).values()
    return next((d.get("heartbeats") or {} for d in documents if (d.get("leader") or {}).get("is_leader")), {})


def _numbers(story: Story) -> list[tuple[str, object]]:
    card = scorecard(story)
    return [
        ("run", card.run),
        ("environment", card.environment),
        ("fault", card.fault),
        ("hosts", " ".join(card.hosts)),
        ("duration_s", card.duration_s),
        ("recovery_s", card.recovery_s),
        ("rto_s", card.recovery_budget_s),
        ("orders_accepted", card.orders_accepted),
        ("orders_refused", card.orders_refused),
        ("checks_held", card.checks.held),
        ("checks_violated", card.checks.violated),
        ("checks_unknown", card.checks.unknown),
        ("reverted_by", " ".join(card.reverted_by) or None),
        ("verdict", card.verdict),
        ("residue", card.residue),
        ("exit_code", card.exit_code),
    ]
