"""I-09 and I-10: back within the budget, and by the processes that were there before. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from stormdesk.cut import Cut
from stormdesk.invariants.judging import result
from stormdesk.model import CheckResult


def i09(cut: Cut) -> CheckResult:
    """The stack was steady again within its budget."""
    recovery = cut.meta.recovery if cut.meta else None
    took = recovery.recovered_at - recovery.start if recovery and recovery.recovered_at is not None else None
    return result(
        "I-09",
        {"recoveries timed": int(recovery is not None)},
        unreadable=[cut.meta_problem, "" if recovery else "no recovery was timed"],
        wrong=_late(cut, took),
        held=f"recovered in {took:.1f} s, budget {recovery.rto_s:g} s" if recovery and took is not None else "",
    )


def _late(cut: Cut, took: float | None) -> Iterator[str]:
    assert cut.meta is not None
    assert cut.meta.recovery is not None
    budget = cut.meta.recovery.rto_s
    if took is None:
        yield f"not recovered when the watch ended; budget {budget:g} s"
    elif took > budget:
        yield f"recovered in {took:.1f} s, {took - budget:.1f} s over the budget of {budget:g} s"
    elif took < 0:
        yield f"recovered {-took:.1f} s before the clock started"
