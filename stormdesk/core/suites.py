"""The suites: which runbooks each runs, by their families and tags. Pure.

Where the sources contradict each other, a runbook decides for itself in its `rto_s` and expectations, and says why. Of the suites it is
decided here: the tier of a scenario is that of its number (S1 to S4), not what the headings count (18 where 16 are listed, 5 of 7).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stormdesk.core.runbook import Runbook


@dataclass(frozen=True)
class Suite:
    """The runbooks of these families, and all that are tagged with the suite's own name."""

    says: str
    families: tuple[str, ...]


FAMILIES = ("tier1", "tier2", "tier3", "tier4", "network", "broker", "components", "recovery", "leader", "autoheal", "extras")  # fmt: skip
SUITES: Mapping[str, Suite] = {
    "tier1": Suite("disks, ledgers and balances", ("tier1",)),
    "tier2": Suite("fills, duplicates and reconciliation", ("tier2",)),
    "tier3": Suite("stale data and silent streams", ("tier3",)),
    "tier4": Suite("kill switch and memory over time", ("tier4",)),
    "network": Suite("partitions, latency and loss", ("network",)),
    "broker": Suite("the venue: refusals, limits and backoff", ("broker",)),
    "components": Suite("bus, orchestrator and planes", ("components",)),
    "recovery": Suite("recovery times, consistency and restarts", ("recovery",)),
    "leader": Suite("the lock, the database and the leader", ("leader",)),
    "autoheal": Suite("the guard: restarts, failsafe and breakers", ("autoheal",)),
    "extras": Suite("what regulators and post-mortems ask for", ("extras",)),
    "nightly": Suite("all of them", FAMILIES),
}


def of(family: str, tags: Collection[str]) -> list[str]:
    """The suites that run a runbook of that family (with the folders below it) and these tags."""
    top = family.partition("/")[0]
    return [name for name, suite in SUITES.items() if top in suite.families or name in tags]


def timers(book: Runbook) -> tuple[float, float]:
    """How long it takes by its own timers, in seconds: at least its schedule, at most all waits and the recovery budget too."""
    windows = book.schedule.windows()
    least = max(end for _, end in windows.values())
    return least, least + book.rto_s + sum(do.within_s for do in book.faults if do.event)
