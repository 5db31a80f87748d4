"""The age of evidence: what is known of each experiment, since when, and which one is known least. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

MAX_AGE_S = 30 * 86400.0  # a result that is older counts as old whatever it says


@dataclass(frozen=True)
class Result:
    """The last run of an experiment: its id, when it began (seconds since 1970), its verdict, the code of the system under test as it
    said so itself ("" where it does not), and the digest of the runbook that was run."""

    run: str
    t: float
    verdict: str
    commit: str = ""
    digest: str = ""

    @property
    def when(self) -> str:
        return datetime.fromtimestamp(self.t, UTC).strftime("%Y-%m-%d %H:%M")


@dataclass(frozen=True)
class Next:
    """The experiment to run, and why that one."""

    name: str
    reason: str


def least_known(books: Mapping[str, str], results: Mapping[str, Result], now: float) -> Next | None:
    """Of the runbooks (their digests by name), the one whose result is known least: never run, then unknown or of another text, then
    older than 30 days, then of other code than the newest run saw, then the oldest. None without any."""
    if not books:
        return None
    newest = max((result for result in results.values() if result.commit), key=lambda result: result.t, default=None)
    ranked = [(*_rank(digest, results.get(name), now, newest), name) for name, digest in books.items()]
    rank, _, reason, name = min(ranked, key=lambda entry: entry[:2])  # of equals the first in the list
    return Next(name, reason if rank < LAST else f"all are known; its result is the oldest: {reason}")


LAST = 4


def _rank(digest: str, last: Result | None, now: float, newest: Result | None) -> tuple[int, float, str]:
    """(how well it is known, since when, why); lower is less."""
    if last is None:
        return 0, 0.0, "it was never run"
    since = f"{last.verdict} on {last.when} ({last.run})"
    if last.verdict == "unknown":
        return 1, last.t, f"its last verdict is unknown: {since}"
    if digest and last.digest and last.digest != digest:
        return 1, last.t, f"its runbook has changed since: {since}"
    if now - last.t > MAX_AGE_S:
        return 2, last.t, f"its result is {(now - last.t) / 86400:.0f} days old: {since}"
    if newest and last.commit and last.commit != newest.commit:
        return 3, last.t, f"{since} was on {last.commit}, the desk now runs {newest.commit}"
    return LAST, last.t, since
