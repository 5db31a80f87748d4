"""How a run ends: verdict, residue, exit code and one sentence. Pure.

The most serious wins: 70, 5, 4, 1, 3, 2, 0 (`ExitCode.worst`). Verdict and residue are reported separately.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from stormdesk.core.errors import ExitCode
from stormdesk.core.model import CheckResult, Verdict


@dataclass(frozen=True)
class HostEnd:
    """The end of the fault on one host. `clean` None: the host did not answer."""

    host: str
    clean: bool | None
    as_planned: bool
    reverted_by: str
    lateness_ms: int
    witness: str
    started_by: str = ""
    why_dirty: str = ""
    ended_early: str = ""  # somebody else ended it: when it was last seen, in seconds after the inject
    unguarded: str = ""  # its watchdogs were not alive: since when that is known, in words


@dataclass(frozen=True)
class Outcome:
    """The result of a run. `run_dir` has its record ("" when nothing was begun). `by_signal`: a signal ended it."""

    run_id: str
    exit_code: ExitCode
    verdict: Verdict
    residue: str
    why: str
    run_dir: str = ""
    by_signal: bool = False

    @property
    def next(self) -> str:
        """The command to type after exit code 5: it heals hosts that may be dirty, or decides what is unknown."""
        return next_step(self.exit_code, self.residue, self.run_id)


def next_step(exit_code: ExitCode, residue: str, run_id: str) -> str:
    """The command to type after such a run; "" for none."""
    if residue == "dirty" and run_id:
        return f"invoke chaos.revert --run {run_id}"
    return "invoke check.all" if exit_code is ExitCode.DIRTY else ""


def as_demanded(results: Sequence[CheckResult], violated: Sequence[str]) -> list[CheckResult]:
    """What checks say in a run that must lose something: those of `violated` are held when they are violated somewhere, and violated
    when nothing was lost. One that could not tell stays unknown."""
    lost = {result.check for result in results if result.verdict is Verdict.VIOLATED}

    def turned(result: CheckResult) -> CheckResult:
        if result.check not in violated or result.verdict is Verdict.UNKNOWN:
            return result
        if result.verdict is Verdict.VIOLATED:
            return replace(result, verdict=Verdict.HELD, why=f"violated, as it must be here: {result.why}")
        if result.check in lost:  # on another host
            return result
        return replace(result, verdict=Verdict.VIOLATED, why=f"held, and must be violated here: {result.why}")

    return [turned(result) for result in results]


def conclude(
    run_id: str,
    ends: Sequence[HostEnd],
    checks: Sequence[CheckResult],
    *,
    stopped: str = "",
    failure: str = "",
    recovery: CheckResult | None = None,
) -> Outcome:
    """`stopped` says why the run ended early (a signal), `failure` what went wrong after the injection."""
    results = [*checks, *([recovery] if recovery else [])]
    dirty = [end for end in ends if end.clean is not True]
    unplanned = [end for end in ends if end.clean and not end.as_planned]
    ours = [end for end in ends if end.started_by == "stormdesk"]
    unseen = [end for end in ends if not end.witness]
    verdict = Verdict.worst(*(result.verdict for result in results)) if results else Verdict.UNKNOWN
    if failure or unseen or _shaky(ends):
        verdict = Verdict.worst(verdict, Verdict.UNKNOWN)
    if ours:
        verdict = Verdict.VIOLATED
    codes = [ExitCode.HELD]
    codes += [ExitCode.DIRTY] if dirty else []
    codes += [ExitCode.STOPPED] if stopped or unplanned else []
    codes += [ExitCode.VIOLATED] if verdict is Verdict.VIOLATED else []
    if verdict is Verdict.UNKNOWN and not stopped:
        codes.append(ExitCode.DIRTY)
    reasons = [f"{end.host} may not be as it was: {end.why_dirty or 'it could not be asked'}" for end in dirty]
    reasons += [f"stopped by {stopped}"] if stopped else []
    reasons += [failure] if failure else []
    reasons += [
        f"{end.host} was reverted by {end.reverted_by}, {end.lateness_ms} ms late, which was not planned"
        for end in unplanned
    ]
    reasons += [f"{end.host}: nothing else started the service again within its RTO, we did" for end in ours]
    reasons += [f"{r.id} {r.verdict}: {r.why}" for r in results if r.verdict is Verdict.VIOLATED]
    reasons += [f"{r.id} {r.verdict}: {r.why}" for r in results if r.verdict is Verdict.UNKNOWN and not stopped]
    reasons += _shaky(ends)
    reasons += [f"{end.host}: no evidence that the fault bit" for end in unseen if not (failure or stopped)]
    why = "; ".join(reasons) or "hypothesis held"
    return Outcome(run_id, ExitCode.worst(*codes), verdict, "dirty" if dirty else "clean", why)


def _shaky(ends: Sequence[HostEnd]) -> list[str]:
    """Why the hold proves nothing: the fault was over before its end, or nobody guarded it."""
    early = [
        f"{end.host}: somebody else ended the fault; last seen {end.ended_early} s after the inject"
        for end in ends
        if end.ended_early
    ]
    return early + [f"{end.host}: {end.unguarded}" for end in ends if end.unguarded]
