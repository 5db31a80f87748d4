"""The times that a runbook demands: until the stack notices (`detect`), alerts, is ready again (`dor`), and has recovered. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from stormdesk.core.expect import Expectation, Watch
from stormdesk.core.model import CheckResult, Verdict

SEEN = ("detect", "alert", "dor")  # in the stack's own health and metrics
KINDS = (*SEEN, "recovered")
STALL_S = 1.5  # no accepted order for so long is not trading (the strategy sends 3 a second)


@dataclass(frozen=True)
class Goal:
    """`within_s` seconds of the inject or the lift (`after`) of a step; of the first inject and the last lift where `step` is "".
    `seen` is what must be seen in samples. `recovered` has none, and its `after` may be "": the clock that the faults' plans say."""

    kind: str
    within_s: float
    after: str
    step: str = ""
    seen: Expectation | None = None


@dataclass(frozen=True)
class Clocks:
    """The instants of each step's fault, in seconds since 1970, None: there was none; `recovery`: when the recovery clock started."""

    injected: Mapping[str, float | None]
    lifted: Mapping[str, float | None]
    recovery: float | None

    def start(self, goal: Goal) -> float | None:
        """When the goal's clock started."""
        if not goal.after:
            return self.recovery
        times = self.injected if goal.after == "inject" else self.lifted
        if goal.step:
            return times.get(goal.step)
        known = [t for t in times.values() if t is not None]
        if len(known) < len(times) and goal.after == "lift":
            return None
        return (min if goal.after == "inject" else max)(known, default=None)

    def watch(self, goal: Goal) -> Watch:
        """The samples' part of a goal that is seen in them."""
        assert goal.seen is not None
        return Watch(goal.seen, {goal.after: self.start(goal)}, goal.kind)


def recovered(goal: Goal, start: float | None, at: float | None, how: str, unknown: str = "") -> CheckResult:
    """Whether trading was back in time. `at`: seconds since 1970, None: it was not while we watched; `how` it was seen; `unknown`: why
    nobody can say."""
    clock = f" of the {goal.after}" if goal.after else ""
    name = f"recovered: within {goal.within_s:g} s{clock}"
    if unknown or start is None:
        return CheckResult(name, Verdict.UNKNOWN, unknown or f"there was no {goal.after or 'start of a clock'}")
    if at is None:
        return CheckResult(name, Verdict.VIOLATED, f"never while it was watched: {how}")
    took = max(0.0, at - start)
    return CheckResult(name, Verdict.HELD if took <= goal.within_s else Verdict.VIOLATED, f"after {took:.2f} s: {how}")


def traded_again(accepted: Sequence[float], from_t: float, until: float, stall_s: float) -> float | None:
    """When orders were accepted again: the end of the last silence of more than `stall_s` that ended after `from_t`, or `from_t` where
    there was none. None: it was silent until the end. `accepted` and the instants are in seconds, on one clock."""
    times = sorted(t for t in accepted if t <= until)
    if not times or until - times[-1] > stall_s:
        return None
    ends = [after for before, after in pairwise(times) if after - before > stall_s and after > from_t]
    if times[0] > from_t + stall_s:
        ends = [times[0], *ends]
    return ends[-1] if ends else from_t


def told(goal: Goal, start: float | None, took_s: float | None, verdict: Verdict) -> dict[str, Any]:
    """A goal as the record has it."""
    return {
        "kind": goal.kind,
        "within_s": goal.within_s,
        "after": goal.after or "recovery",
        "step": goal.step,
        "from": start,
        "took_s": None if took_s is None else round(took_s, 3),
        "verdict": verdict,
    }
