"""What ends a run early: conditions on the stack's health and metrics, looked at in every sample. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from stormdesk.core.expect import Expectation


@dataclass(frozen=True)
class Condition:
    """It is met when `seen` has held in every sample for `for_s` seconds; `grows_by` counts from before the first fault. Of a sample that
    has no value nothing is known: it neither meets a condition nor ends one."""

    seen: Expectation
    for_s: float

    def sentence(self) -> str:
        """The condition for people."""
        lasting = f" for {self.for_s:g} s" if self.for_s else ""
        return f"{self.seen.what()}{lasting}"

    def met(self, samples: Sequence[Mapping[str, Any]]) -> bool:
        """Is it met by the last of these samples?"""
        before = samples[0] if samples else None
        known = ((sample["t"], self.seen.holds(sample, before)) for sample in reversed(samples))
        times = [t for t, _ in takewhile(lambda each: each[1], (each for each in known if each[1] is not None))]
        return bool(times) and times[0] - times[-1] >= self.for_s


def reason(conditions: Sequence[Condition], samples: Sequence[Mapping[str, Any]]) -> str:
    """The first condition that is met, as why a run was stopped; "" for none."""
    return next((f"stop_when: {each.sentence()}" for each in conditions if each.met(samples)), "")
