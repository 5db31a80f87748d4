"""Expectations of a game day: the value that a health document or a metric must have, and by when. Pure.

    {health: trader-a, key: failing_components, contains: REST_API, after: inject, within: 15s}
    {metric: refused, grows_by: 20, after: inject, within: 20s}

`grows_by` counts from the last sample before the clock started. Every sample is checked; an expectation came true at the first
sample for which it holds. `stays`, `stays_at_least`, `stays_at_most` and `grows_at_most` must hold in every sample of the time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stormdesk.core.model import CheckResult, Verdict

LASTING = ("stays", "stays_at_least", "stays_at_most", "grows_at_most")
TESTS = ("is", "contains", "lacks", "at_least", "at_most", "grows_by", *LASTING)
NUMERIC = ("at_least", "at_most", "grows_by", *LASTING[1:])
SEEN_TO_S = 2.0  # a lasting expectation is observed to the end when its last sample is no older than that
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
        when = f"{'for' if self.test in LASTING else 'within'} {self.within_s:g} s {'after' if self.test in LASTING else 'of'}"
        return f"{self.what()} {when} the {self.after}"

    def what(self) -> str:
        """The same without its time."""
        subject = f"{self.host} health {self.key}" if self.host else f"metric {self.key}"
        return f"{subject} {self.test.replace('_', ' ')} {_shown(self.value)}"

    def holds(self, sample: Mapping[str, Any], before: Mapping[str, Any] | None) -> bool | None:
        """Whether it holds in this sample (`{"metrics": {..} | None, "health": {host: {..}}}`). None when the sample has no value.

        `before` is the sample that `grows_by` counts from.
        """
        found = self._look(sample)
        if found is None:
            return None
        match self.test:
            case "is" | "stays":
                return bool(found == self.value)
            case "contains":
                return self.value in found
            case "lacks":
                return self.value not in found
            case "at_least" | "stays_at_least":
                return bool(found >= self.value)
            case "at_most" | "stays_at_most":
                return bool(found <= self.value)
            case _:
                start = self._look(before) if before else None
                grown = None if start is None else found - start
                return (
                    None
                    if grown is None
                    else bool(grown >= self.value if self.test == "grows_by" else grown <= self.value)
                )

    def knows(self, sample: Mapping[str, Any]) -> bool:
        """Whether the sample says anything about it: in one of a busy moment nobody may have answered."""
        return self._look(sample) is not None

    def _look(self, sample: Mapping[str, Any]) -> Any:
        if not self.host:
            return _metric(sample.get("metrics") or {}, self.key)
        found: Any = (sample.get("health") or {}).get(self.host)
        for part in self.key.split("."):
            if not isinstance(found, Mapping) or part not in found:
                return None
            found = found[part]
        return found


def _metric(metrics: Mapping[str, Any], key: str) -> Any:
    """`skipped.NO_QUOTE` is 0 as long as `skipped` is known and none had that reason."""
    name, dot, _ = key.partition(".")
    return metrics.get(key, 0.0 if dot and name in metrics else None)


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


@dataclass(frozen=True)
class Watch:
    """An expectation, and the instants (seconds since 1970) at which its clock may start; None: that has not happened. `kind` is the
    first word of its result."""

    expectation: Expectation
    clocks: Mapping[str, float | None]
    kind: str = "expect"

    def came(self, samples: Sequence[Mapping[str, Any]]) -> float | None:
        """Seconds from its clock's start to the first sample for which it holds; None: never."""
        start = self.clocks.get(self.expectation.after)
        if start is None:
            return None
        before = next((sample for sample in reversed(samples) if sample["t"] < start), None)
        holding = (s["t"] - start for s in samples if s["t"] >= start and self.expectation.holds(s, before))
        return next(holding, None)

    def judge(self, samples: Sequence[Mapping[str, Any]]) -> CheckResult:
        """held: in time. violated: late, or never although it was observed to the end. unknown: it could not be observed."""
        wanted = self.expectation
        name = f"{self.kind}: {wanted.sentence()}"
        start = self.clocks.get(wanted.after)
        if start is None:
            return CheckResult(name, Verdict.UNKNOWN, f"there was no {wanted.after}")
        earlier = (sample for sample in reversed(samples) if sample["t"] < start)
        before = next((sample for sample in earlier if wanted.knows(sample)), None)
        looked = [(s["t"] - start, wanted.holds(s, before)) for s in samples if s["t"] >= start]
        seen = [at for at, truth in looked if truth is not None]
        if wanted.test in LASTING:
            return _lasted(name, wanted.within_s, [(at, truth) for at, truth in looked if at <= wanted.within_s])
        if not seen or (max(seen) < wanted.within_s and not any(truth for _, truth in looked)):
            return CheckResult(
                name, Verdict.UNKNOWN, f"only {len(seen)} samples said anything, until {max(seen, default=0):.1f} s"
            )
        came = next((at for at, truth in looked if truth), None)
        if came is None:
            return CheckResult(name, Verdict.VIOLATED, f"never, in {max(seen):.1f} s", sources={"samples": len(seen)})
        verdict = Verdict.HELD if came <= wanted.within_s else Verdict.VIOLATED
        return CheckResult(name, verdict, f"after {came:.1f} s", sources={"samples": len(seen)})


def _lasted(name: str, within_s: float, looked: Sequence[tuple[float, bool | None]]) -> CheckResult:
    """violated at the first sample for which it does not hold; unknown when nobody looked until the end."""
    seen = [at for at, truth in looked if truth is not None]
    broke = next((at for at, truth in looked if truth is False), None)
    if broke is not None:
        return CheckResult(name, Verdict.VIOLATED, f"no more after {broke:.1f} s", sources={"samples": len(seen)})
    if not seen or seen[-1] < within_s - SEEN_TO_S:
        why = f"only {len(seen)} samples said anything, until {max(seen, default=0):.1f} s"
        return CheckResult(name, Verdict.UNKNOWN, why)
    return CheckResult(name, Verdict.HELD, f"in all of {len(seen)} samples", sources={"samples": len(seen)})
