"""docs/catalogue.md: each fault on a lab, by which mechanism, what was seen of it, and that it went. Written by
`pytest tests/e2e/test_every_fault.py --write-catalogue`; otherwise compared with what is seen.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stormdesk.faults import FAULTS

PAGE = Path(__file__).parents[2] / "docs" / "catalogue.md"
SHOWN = 110  # characters of a piece of evidence
HEAD = """# The catalogue, as measured

Each fault, run with its own example on a `core` lab that trades: the mechanism that was chosen there, what the host and another host
observed during the fault, and the undo. After each of these runs the host was back in its original state, fact by fact, and the stack
traded again. `invoke chaos.catalog --host H` shows what another host can do. `pytest tests/e2e/test_every_fault.py --write-catalogue`
writes this page.

| fault | mechanism | seen on the host | seen by another host | undo |
|---|---|---|---|---|
"""


@dataclass(frozen=True)
class Seen:
    """One fault on a lab."""

    mechanism: str
    evidence: str
    peer: str


def rows(seen: Mapping[str, Seen]) -> str:
    """The table's rows, by name."""
    lines = []
    for name, each in sorted(seen.items()):
        undo = FAULTS[name].undo + (" (cannot be undone)" if name == "power-cut" else "")
        cells = (name, each.mechanism, _short(each.evidence), _short(each.peer) or "-", undo)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def mechanisms(page: str) -> Mapping[str, str]:
    """The mechanism of each fault, as the page has it."""
    found = re.findall(r"^\| ([a-z-]+) \| ([^|]+) \|", page, re.MULTILINE)
    return {name: mechanism for name, mechanism in found if name != "fault"}


def _short(text: str) -> str:
    plain = " ".join(text.replace("|", "/").split())
    return plain if len(plain) <= SHOWN else plain[: SHOWN - 1] + "…"
