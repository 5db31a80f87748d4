"""I-13: nothing of ours is left on any host. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from stormdesk.core.model import CheckResult
from stormdesk.evidence.cut import Cut
from stormdesk.evidence.judges.judging import result


def i13(cut: Cut) -> CheckResult:
    """No host has anything of ours left, and each is as it was before."""
    hosts = cut.meta.hosts if cut.meta else ()
    asked = [host for host in hosts if host in cut.residue]
    others = sum(len(residue.others) for residue in cut.residue.values())
    marks = [f"{host}: {mark}" for host, residue in sorted(cut.residue.items()) for mark in residue.marks]
    silent = [host for host in hosts if host not in cut.residue]
    return result(
        "I-13",
        {"hosts asked": len(asked)},
        unreadable=[cut.meta_problem, cut.residue_problem],
        floors=((len(cut.residue), 1, "hosts"),),
        wrong=_left_over(cut),
        doubts=[f"{silent[0]} was not asked" if silent else ""],
        held=f"{len(cut.residue)} hosts asked, nothing of ours left"
        + (f"; {others} other runs are in" if others else "")
        + (f"; not counted, as it may be anybody's: {_some(marks)}" if marks else ""),
    )


def _left_over(cut: Cut) -> Iterator[str]:
    for host, residue in sorted(cut.residue.items()):
        yield from (f"{host}: {found}" for found in residue.ours)
        yield from (f"{host}: {line}" for line in residue.diff)
        if not (residue.clean or residue.ours or residue.diff):
            yield f"{host}: reported dirty"


def _some(found: list[str]) -> str:
    """The first of them, and how many more."""
    return found[0] + (f" (and {len(found) - 1} more)" if len(found) > 1 else "")
