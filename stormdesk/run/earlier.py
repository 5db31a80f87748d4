"""The scorecards of the runs beside a run, and the index over them. A file that cannot be read is no scorecard."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from stormdesk import durable

MOST = 2000  # the latest runs; looking through more would take longer than a report may


def cards(runs: Path, most: int = MOST) -> Iterator[dict[str, Any]]:
    """Those of the latest runs in the folder, the latest first. Never raises for a run."""
    for folder in sorted(runs.glob("r-*"), reverse=True)[:most]:
        found = card(folder)
        if found.get("run") == folder.name and isinstance(found.get("hosts", []), list):
            yield found


def card(folder: Path) -> dict[str, Any]:
    """The scorecard of the run in a folder; {} where there is none that can be read."""
    with contextlib.suppress(OSError, ValueError, RecursionError):
        found = json.loads((folder / "scorecard.json").read_bytes())
        if isinstance(found, dict):
            return found
    return {}


def write_index(runs: Path, known: Sequence[Mapping[str, Any]]) -> None:
    """runs/index.html. Where it cannot be written it stays as it was: every run's own report is whole, and the next one tries again."""
    from stormdesk.evidence import runs_index  # jinja2: costs more than a fault

    with contextlib.suppress(OSError):
        durable.replace(runs / "index.html", runs_index.html(known).encode(), mode=0o644)
