"""Mutants: planted bugs as patches, each with what must find it: `Killed by: <test>`, or, in the folder
`live`, `Caught by: <invariant>` on a stack that trades in a `Situation: <name>` (tests/mutants/situations.py).

A patch file is a sentence, lines that say who finds it, and hunks without line numbers: what a hunk's context and removed
lines say must stand in the file exactly once, so a patch never lands in the wrong place and never rots in silence.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(__file__).resolve().parent
PARTS = (
    "stormdesk", "faults", "checks", "infra", "testnet", "runbooks", "tests", "tasks.py", "pyproject.toml", "docs",
)  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """One planted bug. `hunks` are (file, old text, new text)."""

    name: str
    says: str
    killed_by: tuple[str, ...]  # tests that must fail
    caught_by: tuple[str, ...]  # invariants that must fail on a stack that trades in its situation
    situation: str
    hunks: tuple[tuple[str, str, str], ...]

    def plant(self, root: Path) -> None:
        """Apply it to a copy of the project at `root`. Fails when a hunk does not fit exactly once."""
        for name, old, new in self.hunks:
            path = root / name
            text = path.read_text()
            assert text.count(old) == 1, f"{self.name}: {name} has the hunk {text.count(old)} times, not once:\n{old}"
            path.write_text(text.replace(old, new))


def read(path: Path) -> Mutant:
    """The mutant in a patch file."""
    head, *_ = path.read_text().split("\n--- a/", 1)

    def said(word: str) -> tuple[str, ...]:
        return tuple(line.removeprefix(f"{word}: ") for line in head.splitlines() if line.startswith(f"{word}: "))

    hunks: list[tuple[str, list[str]]] = []
    target = ""
    for line in path.read_text().splitlines():
        if line.startswith("+++ b/"):
            target = line.removeprefix("+++ b/")
        elif line.startswith("@@"):
            hunks.append((target, []))
        elif line[:1] in " +-" and line and hunks and not line.startswith("--- a/"):
            hunks[-1][1].append(line)
    made = [(name, _side(lines, " -"), _side(lines, " +")) for name, lines in hunks]
    situation = next(iter(said("Situation")), "")
    return Mutant(path.stem, head.splitlines()[0], said("Killed by"), said("Caught by"), situation, tuple(made))


def _side(lines: list[str], signs: str) -> str:
    return "".join(line[1:] + "\n" for line in lines if line[0] in signs)


def mutants(folder: Path = FOLDER) -> list[Mutant]:
    """All of a folder, by name."""
    return [read(path) for path in sorted(folder.glob("*.patch"))]


def copy(root: Path) -> None:
    """A copy of the project's sources, links kept as links."""
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, root / part, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, root / part)
