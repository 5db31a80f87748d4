"""disk-slow: a service's reads, writes, syncs or opens are slow, as on an overloaded or failing disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from stormdesk.core.fault import Site, Unsupported
from stormdesk.core.model import Argv, HostFacts
from stormdesk.core.plan import Plan
from stormdesk.core.values import Count, Duration
from stormdesk.core.words import Calls
from stormdesk.faults.disk.traced import Traced, check_calls, of_file
from stormdesk.mechanism.tracing import Answer


@dataclass(frozen=True)
class DiskSlow(Traced):
    """One kind of system call is delayed. Reads, writes and opens of one file only, so that the service's sockets stay fast."""

    name: ClassVar[str] = "disk-slow"
    title: ClassVar[str] = "Slow down a service's reads, writes, syncs or opens"
    EXAMPLE: ClassVar[Mapping[str, str]] = {"delay": "10ms"}

    calls: Calls = field(default=Calls("sync"), metadata={"help": "what is slow: read, write, sync or open"})
    delay: Duration = field(
        default=Duration(0.1),
        metadata={"help": "the delay of each call, e.g. 100ms", "grid": ("10ms", "100ms", "1s")},
    )
    every: Count = field(default=Count(1), metadata={"help": "every n-th call is slow", "grid": ("100", "10", "1")})
    path: str = field(default="", metadata={"help": "only for this file; required unless --calls is sync"})

    def probes(self, site: Site) -> Mapping[str, Argv]:
        check_calls(self.calls, self.path, "the file on which they are slow")
        return self.traced_probes(site)

    def plan(self, facts: HostFacts, site: Site, ttl_s: float | None) -> Plan | Unsupported:
        says, paths = of_file(self.calls, int(self.every), self.path)
        slow = Answer((str(self.calls),), f"delay_enter={round(float(self.delay) * 1e6)}", int(self.every), paths)
        return self.traced(facts, site, ttl_s, slow, f"{says} takes {self.delay} longer")
