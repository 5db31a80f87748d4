"""The scorecard, the hypothesis and the findings of a report as CSV, for spreadsheets. Pure: a Story in, text out."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from stormdesk.evidence import comparing, findings, sections
from stormdesk.evidence.scorecard import scorecard
from stormdesk.evidence.story import Story

FOLDER = "outputs/tables"
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def tables(story: Story, titles: Mapping[str, str], last: Mapping[str, Any] | None = None) -> dict[str, str]:
    """By file name, relative to the run directory. The first line of each names its columns."""
    card = scorecard(story)
    numbers, changed = msgspec.to_builtins(card), comparing.changes(card, last)
    score = [("status", "", card.state, comparing.state_of(last) if last else "", "")]
    for key, label, unit, _ in comparing.NUMBERS:
        change = changed.get(key)
        now = "" if numbers[key] is None else numbers[key]
        score.append((label, unit, now, change.before if change else "", change.words if change else ""))
    found = (*findings.findings(story), *findings.actions(story))
    return {
        f"{FOLDER}/scorecard.csv": _csv(("number", "unit", "this run", "last run", "change"), score),
        f"{FOLDER}/hypothesis.csv": _csv(
            ("expected", "actual", "verdict", "evidence"),
            [(row.expected, row.actual, row.verdict, row.link) for row in sections.hypothesis(story, titles)],
        ),
        f"{FOLDER}/findings.csv": _csv(
            ("severity", "finding", "owner", "due", "issue", "again"),
            [(one.severity or "action", one.text, one.owner, one.due, one.issue, one.retest) for one in found],
        ),
    }


def _csv(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([[_cell(value) for value in row] for row in rows])
    return out.getvalue()


def _cell(value: object) -> object:
    """A text that a spreadsheet does not take for a formula, whatever a host has put into it."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value
