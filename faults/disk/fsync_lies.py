"""fsync-lies: a service's fsync and fdatasync return success without syncing, as on a disk whose volatile cache lies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from stormdesk.core.fault import Site, Unsupported
from stormdesk.core.model import Argv, HostFacts
from stormdesk.core.plan import Plan
from stormdesk.faults.disk.traced import Traced
from stormdesk.mechanism.tracing import Answer


@dataclass(frozen=True)
class FsyncLies(Traced):
    """The process's syncs are skipped and return success: the data reaches the disk later, unless the power fails."""

    name: ClassVar[str] = "fsync-lies"
    title: ClassVar[str] = "Make a service's fsync lie"

    def probes(self, site: Site) -> Mapping[str, Argv]:
        return self.traced_probes(site)

    def plan(self, facts: HostFacts, site: Site, ttl_s: float | None) -> Plan | Unsupported:
        says = "fsync and fdatasync of {} return success and sync nothing"
        return self.traced(facts, site, ttl_s, Answer(("sync",), "retval=0"), says)
