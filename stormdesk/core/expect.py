"""Expectations of a game day: the value that a health document or a metric must have, and by when. Pure.

    {health: trader-a, key: failing_components, contains: REST_API, after: inject, within: 15s}
    {metric: refused, grows_by: 20, after: inject, within: 20s}

`grows_by` counts from the last sample before the clock started. Every sample is checked; an expectation came true at the first
sample for which it holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stormdesk.core.model import CheckResult, Verdict

TESTS = ("is", "contains", "lacks", "at_least", "at_most", "grows_by")
NUMERIC = ("at_least", "at_most", "grows_by")
CLOCKS = ("inject", "lift")


@dataclass(frozen=True)
class Expectation:
    """`host` "" means the metric `key` of the whole stack, else `key` of that host's health document (dots separate levels)."""

    host: str
    key: str
    test: str
    value: Any
    after: str
    within_s: float

    def sentence(self) -> str:
        """The expectation as a sentence for people."""
        subject = f"{self.host} health {self.key}" if self.host else f"metric {self.key}"
        return f"{subject} {self.test.replace('_', ' ')} {_shown(self.value)} within {self.within_s:g} s of the {self.after}"

    def holds(self, sample: Mapping[str, Any], before: Mapping[str, Any] | None) -> bool | None:
        """Whether it holds in this sample (`{"metrics": {..} | None, "health": {host: {..}}}`). None when the sample has no value.

        `before` is the sample that `grows_by` counts from.
        """
        found = self._look(sample)
        if found is None:
            return None
        match self.test:
            case "is":
                return bool(found == self.value)
            case "contains":
                return self.value in found
            case "lacks":
                return self.value not in found
            case "at_least":
                return bool(found >= self.value)
            case "at_most":
                return bool(found <= self.value)
            case _:
                start = self._look(before) if before else None
                return None if start is None else bool(found - start >= self.value)

    def _look(self, sample: Mapping[str, Any]) -> Any:
        found: Any = (sample.get("health") or {}).get(self.host) if self.host else sample.get("metrics")
        for part in self.key.split("."):
            if not isinstance(found, Mapping) or part not in found:
                return None
            found = found[part]
        return found


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


@dataclass(frozen=True)
class Watch:
    """An expectation, and the instants (seconds since 1970) at which its clock may start; None: that has not happened."""

    expectation: Expectation
    clocks: Mapping[str, float | None]

    def judge(self, samples: Sequence[Mapping[str, Any]]) -> CheckResult:
        """held: in time. violated: late, or never although it was observed to the end. unknown: it could not be observed."""
        wanted = self.expectation
        name = f"expect: {wanted.sentence()}"
        start = self.clocks.get(wanted.after)
        if start is None:
            return CheckResult(name, Verdict.UNKNOWN, f"there was no {wanted.after}")
        before = next((sample for sample in reversed(samples) if sample["t"] < start), None)
        looked = [(s["t"] - start, wanted.holds(s, before)) for s in samples if s["t"] >= start]
        seen = [at for at, truth in looked if truth is not None]
        if not seen or (max(seen) < wanted.within_s and not any(truth for _, truth in looked)):
            return CheckResult(
                name, Verdict.UNKNOWN, f"only {len(seen)} samples said anything, until {max(seen, default=0):.1f} s"
            )
        came = next((at for at, truth in looked if truth), None)
        if came is None:
            return CheckResult(name, Verdict.VIOLATED, f"never, in {max(seen):.1f} s", sources={"samples": len(seen)})
        verdict = Verdict.HELD if came <= wanted.within_s else Verdict.VIOLATED
        return CheckResult(name, verdict, f"after {came:.1f} s", sources={"samples": len(seen)})
