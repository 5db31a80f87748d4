"""disk-slow: a service's reads, writes, syncs or opens are slow, as on an overloaded or failing disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from stormdesk.core.errors import UsageError
from stormdesk.core.fault import Site, Unsupported
from stormdesk.core.model import Argv, HostFacts
from stormdesk.core.plan import Plan
from stormdesk.core.rates import ByteRate, OperationRate
from stormdesk.core.values import Count, Duration
from stormdesk.core.words import Calls
from stormdesk.faults.disk import throttled
from stormdesk.faults.disk.traced import Traced, check_calls, of_file
from stormdesk.host import targets
from stormdesk.mechanism.tracing import Answer

DELAY = Duration(0.1)


@dataclass(frozen=True)
class DiskSlow(Traced):
    """One kind of system call is delayed. Reads, writes and opens of one file only, so that the service's sockets stay fast. With --rate
    or --iops the service's throughput on a disk is limited instead, by the throttle of its control group."""

    name: ClassVar[str] = "disk-slow"
    title: ClassVar[str] = "Slow down a service's reads, writes, syncs or opens"
    undo: ClassVar[str] = (
        "strace detaches and the process continues; or the limit is removed, with the process in its former group"
    )
    EXAMPLE: ClassVar[Mapping[str, str]] = {"delay": "10ms"}

    calls: Calls = field(default=Calls("sync"), metadata={"help": "what is slow: read, write, sync or open"})
    delay: Duration | None = field(
        default=None,
        metadata={
            "help": f"the delay of each call, e.g. 100ms; default: {DELAY}",
            "kind": Duration,
            "grid": ("10ms", "100ms", "1s"),
        },
    )
    every: Count = field(default=Count(1), metadata={"help": "every n-th call is slow", "grid": ("100", "10", "1")})
    path: str = field(
        default="",
        metadata={
            "help": "only for this file; required unless --calls is sync. With --rate or --iops: a folder on the disk; default: the data "
            "folder"
        },
    )
    rate: ByteRate | None = field(
        default=None,
        metadata={
            "help": "limit reads, or writes and syncs, to so many bytes a second instead, e.g. 1MiB/s. cgroup v1 does not limit "
            "writes that stay in the page cache, only O_DIRECT and syncs",
            "kind": ByteRate,
        },
    )
    iops: OperationRate | None = field(
        default=None,
        metadata={"help": "limit them to so many operations a second, e.g. 100", "kind": OperationRate},
    )

    @property
    def _limited(self) -> bool:
        return self.rate is not None or self.iops is not None

    def probes(self, site: Site) -> Mapping[str, Argv]:
        if not self._limited:
            check_calls(self.calls, self.path, "the file on which they are slow")
            return self.traced_probes(site)
        if self.delay is not None or self.every != 1 or self.calls == "open":
            raise UsageError(
                "--rate and --iops go with --calls read, write or sync; not with --delay, nor with --every"
            )
        return throttled.probes(self.words(site), self.path, site)

    def plan(self, facts: HostFacts, site: Site, ttl_s: float | None) -> Plan | Unsupported:
        if self._limited:
            how, what = self.selector(site)
            process = targets.one_process(facts.answers["processes"].stdout, how, what, site)
            limit = throttled.Limit(self.path, self.calls == "read", self.rate, self.iops)
            return throttled.plan(self.name, process, what, limit, facts, site, ttl_s)
        delay = self.delay or DELAY
        says, paths = of_file(self.calls, int(self.every), self.path)
        slow = Answer((str(self.calls),), f"delay_enter={round(float(delay) * 1e6)}", int(self.every), paths)
        return self.traced(facts, site, ttl_s, slow, f"{says} takes {delay} longer")
