"""The stack during a run: samples, the instant of recovery, and the expectations."""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from stormdesk.core.conditions import Condition, reason
from stormdesk.core.expect import Watch
from stormdesk.core.model import CheckResult, Verdict
from stormdesk.run import flags
from stormdesk.run.record import Record
from stormdesk.run.run_checks import Proof
from stormdesk.run.show import Show
from stormdesk.run.stack import Clock, Sample, Stack, Tracker
from stormdesk.ssh.signals import StopNow

SAMPLE_S = 0.5
LOOKS_AGAIN = 2
METRICS = "outputs/metrics"


class Observer:
    """Samples, and what follows from them. `recovery` is None until its clock was started."""

    def __init__(
        self, record: Record, show: Show, proof: Proof, stack: Stack | None, stop_when: Sequence[Condition] = ()
    ) -> None:
        self.recovery: Tracker | None = None
        self._record = record
        self._show = show
        self._proof = proof
        self._stack = stack
        self.stop_when = stop_when
        self._samples: list[Mapping[str, Any]] = []

    def sample(self, phase: str, without: Collection[str] = ()) -> str:
        """Look at the stack, keep what is seen, and say it in a few words; `without` are hosts that are known to be cut off."""
        sample = self._stack.sample(without) if self._stack else Sample(time.time(), None, {}, "")
        seen = {"phase": phase, "metrics": sample.metrics, "health": sample.health}
        self._samples.append({"t": sample.t, **seen})
        self._record.event("sample", **seen)
        return sample.text

    def first(self) -> None:
        """The look before anything is touched; again when nobody answered in time: growth is counted from here."""
        self._snapshot("before")
        self.sample("steady")
        for _ in range(LOOKS_AGAIN):
            if self._stack is None or self._samples[-1]["metrics"] is not None:
                break
            time.sleep(SAMPLE_S)
            self.sample("steady")

    def _snapshot(self, when: str) -> None:
        """Keep the services' own metrics as files."""
        for name, text in (self._stack.snapshot() if self._stack else {}).items():
            self._record.write(f"{METRICS}/{when}/{name}.prom", text)

    def keep(self) -> None:
        """Keep the samples' numbers as a file, a line each."""
        lines = [{key: sample[key] for key in ("t", "phase", "metrics")} for sample in self._samples]
        if lines and self._stack:
            self._record.write(f"{METRICS}/during.jsonl", "".join(f"{json.dumps(line)}\n" for line in lines))

    def stop_if_met(self) -> None:
        """Raises StopNow when a condition is met by what was seen last."""
        if why := reason(self.stop_when, self._samples):
            self._record.event("note", who="stop_when", text=why)
            raise StopNow(why)

    def clock_from(self, t: float, *, anew: bool = False) -> Tracker:
        """Start the recovery clock at `t`, unless it runs already; `anew`: also then, as what came last counts."""
        if self.recovery is None or anew:
            self.recovery = self._stack.track(t) if self._stack else Clock(t)
        return self.recovery

    def recover(self, healed_t: float, budget_s: float) -> CheckResult:
        """Wait until the stack is steady again; at most the budget and a little more, so that a late one is seen as late."""
        tracker, until = self.clock_from(healed_t), time.monotonic() + budget_s + 10
        again = self._well_again if self._stack else self._steady_again
        took = again(tracker, budget_s, until)
        self._record.event("recovered", took_s=took, budget_s=budget_s, why=tracker.why, **{"from": tracker.from_t})
        within = took is not None and took <= budget_s
        text = (
            f"steady again after {took:.1f} s (budget {budget_s:g} s)"
            if took is not None
            else f"not within {budget_s:g} s: {tracker.why}"
        )
        self._show.phase("recover", text, took, ok=within)
        self._snapshot("after")
        return CheckResult("recovery", Verdict.HELD if within else Verdict.VIOLATED, text)

    def _well_again(self, tracker: Tracker, budget_s: float, until: float) -> float | None:
        began = time.monotonic()
        while not tracker.settled(time.time()) and time.monotonic() < until:
            self.sample("recover")
            self._show.progress("recover", time.monotonic() - began, budget_s, tracker.why or "trading")
            time.sleep(0.25)
        return tracker.took_s if tracker.settled(time.time()) else None

    def _steady_again(self, tracker: Tracker, budget_s: float, until: float) -> float | None:
        """Hosts without a stack that can be watched are well when a look at its steady state has ended and found nothing. What
        came true in the middle of a look was not true when it began."""
        began = time.monotonic()
        while True:
            bad = [result for result in self._proof.look() if result.verdict is not Verdict.HELD]
            if not bad:
                tracker.recovered_at = time.time()
                return tracker.took_s
            tracker.why = f"{bad[0].id}: {bad[0].why}"
            if time.monotonic() >= until:
                return None
            self._show.progress("recover", time.monotonic() - began, budget_s, tracker.why)
            time.sleep(SAMPLE_S)

    def came(self, watch: Watch) -> tuple[float | None, Verdict]:
        """When it came true, in seconds from its clock's start, and what that means."""
        return watch.came(self._samples), watch.judge(self._samples).verdict

    def expectations(self, watches: Sequence[Watch]) -> list[CheckResult]:
        """Judge what the runbook expects; those that may still come true are waited for."""
        until = max(((w.clocks[w.expectation.after] or 0) + w.expectation.within_s for w in watches), default=0.0)
        while time.time() < until and any(watch.judge(self._samples).verdict is not Verdict.HELD for watch in watches):
            self.sample("recover")
            time.sleep(SAMPLE_S)
        results = [watch.judge(self._samples) for watch in watches]
        limit_s = flags.load().heartbeat_max_s
        if limit_s is not None and self._stack:
            results.append(beating(self._samples, limit_s))
        if results:
            self._record.event("expectations", checks=[asdict(result) for result in results])
        for result in results:
            self._show.phase(
                "expect", f"{result.id.removeprefix('expect: ')}: {result.why}", ok=result.verdict is Verdict.HELD
            )
        return results


def beating(samples: Sequence[Mapping[str, Any]], limit_s: float) -> CheckResult:
    """HEARTBEAT_MAX: were all heartbeats of the leader younger than so many seconds when it was seen last?"""
    documents = [d for sample in samples for d in sample["health"].values() if (d.get("leader") or {}).get("is_leader")]
    ages = {name: float(age) for name, age in (documents[-1].get("heartbeats") or {}).items()} if documents else {}
    if not ages:
        return CheckResult("heartbeats", Verdict.UNKNOWN, "no leader has told its heartbeats")
    text = ", ".join(f"{name} {age:.1f} s" for name, age in sorted(ages.items()))
    held = max(ages.values()) < limit_s
    return CheckResult("heartbeats", Verdict.HELD if held else Verdict.VIOLATED, f"{text}; all must be below {limit_s:g} s")
