"""The last result of each runbook, from the run directories."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePath

from stormdesk.core import journal
from stormdesk.core.age import Result
from stormdesk.run import earlier
from stormdesk.run.record import runs_folder

FIRST = 1 << 20  # bytes; the first line of a record is shorter


def last_results() -> dict[str, Result]:
    """By the name of the runbook, and its variant: `partition[3s]`. A run that is under way, or whose controller died, is unknown;
    what cannot be read is no result."""
    found: dict[str, Result] = {}
    for folder in sorted(runs_folder().glob("r-*")):
        named = _result(folder)
        if named and (named[0] not in found or found[named[0]].t <= named[1].t):
            found[named[0]] = named[1]
    return found


def _result(folder: Path) -> tuple[str, Result] | None:
    try:
        with (folder / "events.jsonl").open("rb") as file:
            start = journal.decode(file.readline(FIRST)) or {}
    except OSError:
        return None
    book: Mapping[str, str] = start.get("runbook") or {}
    if start.get("event") != "run.started" or not book.get("path"):
        return None
    card = earlier.card(folder)
    verdict, commit = str(card.get("verdict") or "unknown"), str(card.get("commit") or "")
    result = Result(folder.name, float(start["t"]), verdict, commit, str(book.get("digest") or ""))
    return str(book.get("name") or PurePath(book["path"]).stem), result
