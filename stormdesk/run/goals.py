"""Judges the times that a runbook demands, when its run has ended; `recovered` by the venue's own record where there is one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from stormdesk.core import goals
from stormdesk.core.expect import Watch
from stormdesk.core.goals import Clocks, Goal
from stormdesk.core.model import CheckResult, Verdict
from stormdesk.evidence import cut as cuts
from stormdesk.run.injection import Injection
from stormdesk.run.record import Record
from stormdesk.run.recovery import Observer
from stormdesk.run.show import Show

FILES = ("venue.jsonl", "meta.json")


def of_faults(injections: Sequence[Injection]) -> list[Watch]:
    """What the runbook expects of each fault."""
    return [
        Watch(expectation, {"inject": each.injected_t or None, "lift": each.fanout.healed_t or None})
        for each in injections
        for expectation in each.do.expect
    ]


class Goals:
    """The goals of one run. `watches` are to be waited for with the other expectations; then `judged`, when the cut has been taken."""

    def __init__(self, wanted: Sequence[Goal], injections: Sequence[Injection], observer: Observer) -> None:
        recovery = observer.recovery
        self._wanted = wanted
        self._observer = observer
        self._clocks = Clocks(
            {each.op.id: each.injected_t or None for each in injections},
            {each.op.id: each.fanout.healed_t or None for each in injections},
            recovery.from_t if recovery else None,
        )

    @property
    def watches(self) -> list[Watch]:
        """Those that are seen in samples."""
        return [self._clocks.watch(goal) for goal in self._wanted if goal.seen]

    def judged(self, cut: Path, record: Record, show: Show) -> list[CheckResult]:
        """Judge `recovered` on the cut in that folder, and write all goals down. Returns what is not among the expectations yet."""
        told, results = [], []
        for goal in self._wanted:
            start = self._clocks.start(goal)
            if goal.seen:
                watch = self._clocks.watch(goal)
                took_s, verdict = self._observer.came(watch)
            else:
                at, how, unknown = self._again(start, cut)
                result = goals.recovered(goal, start, at, how, unknown)
                took_s, verdict = None if at is None or start is None else max(0.0, at - start), result.verdict
                results.append(result)
                show.phase("expect", f"{result.id}: {result.why}", ok=verdict is Verdict.HELD)
            told.append(goals.told(goal, start, took_s, verdict))
        if told:
            record.event("expectations", checks=[asdict(result) for result in results], goals=told)
        return results

    def _again(self, start: float | None, folder: Path) -> tuple[float | None, str, str]:
        """(when trading was back, how that is known, why it cannot be known)."""
        tracker = self._observer.recovery
        found = {name: (folder / name).read_bytes() for name in FILES if (folder / name).is_file()}
        cut = cuts.parse(found) if found else None
        if cut is None or cut.meta is None or not cut.meta.one_clock or not cut.meta.traders:
            at = tracker.recovered_at if tracker else None
            return at, "steady state, as it was asked for", "" if tracker else "no recovery was timed"
        if cut.venue.problem:
            return None, "", f"the venue's record: {cut.venue.problem}"
        accepted = [line.t for line in cut.accepted()]
        at = goals.traded_again(accepted, start or 0.0, cut.meta.hold.started, goals.STALL_S)
        return at, f"the venue's record of {len(accepted)} accepted orders", ""
