"""fsync-lies: fsync and fdatasync of a service answer that all is on disk, and nothing is: a disk with a volatile cache that lies."""

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
    """No sync of the process is carried out, and each says that it was: the data reach the disk later, unless the power fails."""

    name: ClassVar[str] = "fsync-lies"
    title: ClassVar[str] = "Let fsync of a service lie"

    def probes(self, site: Site) -> Mapping[str, Argv]:
        return self.traced_probes(site)

    def plan(self, facts: HostFacts, site: Site, ttl_s: float | None) -> Plan | Unsupported:
        says = "fsync and fdatasync of {} do nothing and say that they did"
        return self.traced(facts, site, ttl_s, Answer(("sync",), "retval=0"), says)
