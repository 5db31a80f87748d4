"""The table bug x invariant: all judges' verdicts on a stack, and its line in the output of a run."""

from __future__ import annotations

from stormdesk.core.model import Verdict
from stormdesk.evidence import cut as cuts
from stormdesk.evidence.judges import JUDGES, applicable

TOPIC = "bug x invariant"
SIGNS = {Verdict.HELD: ".", Verdict.VIOLATED: "F", Verdict.UNKNOWN: "?"}
Row = dict[str, Verdict]
HEAD = (
    f"{' bug':<28} {'situation':<15} " + " ".join(f"{judge.removeprefix('I-'):<4}" for judge in JUDGES)
    + "   F violated, . held, ? unknown, - not asked"
)  # fmt: skip


def judged(cut: cuts.Cut) -> tuple[Row, list[str]]:
    """Every judge that the cut calls for: its verdict, and what is wrong."""
    # On loopback there is no host that something could be left on.
    results = [JUDGES[name](cut) for name in applicable(cut) if name != "I-13" or cut.residue]
    said = [f"{result.id} {result.verdict}: {result.why}" for result in results if result.verdict is not Verdict.HELD]
    return {result.id: result.verdict for result in results}, said


def line(name: str, situation: str, row: Row) -> str:
    """A row as people read it."""
    cells = " ".join(f"{SIGNS[row[judge]] if judge in row else '-':<4}" for judge in JUDGES)
    return f"{name:<28} {situation:<15} {cells}"
