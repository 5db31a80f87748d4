"""The scorecards of the runs beside a run, as they lie on the disk. A file that cannot be read is no scorecard."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MOST = 2000  # the latest runs; looking through more would take longer than a report may


def cards(runs: Path, most: int = MOST) -> Iterator[dict[str, Any]]:
    """Those of the latest runs in the folder, the latest first. Never raises for a run."""
    for folder in sorted(runs.glob("r-*"), reverse=True)[:most]:
        with contextlib.suppress(OSError, ValueError, RecursionError):
            card = json.loads((folder / "scorecard.json").read_bytes())
            if isinstance(card, dict) and card.get("run") == folder.name:
                yield card
