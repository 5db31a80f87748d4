"""disk-error: a service's reads, writes, syncs or opens fail, as on a dying disk, or its writes write nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from stormdesk.core.errors import UsageError
from stormdesk.core.fault import Site, Unsupported
from stormdesk.core.model import Argv, HostFacts
from stormdesk.core.plan import Plan
from stormdesk.core.values import Count
from stormdesk.core.words import CallError, Calls
from stormdesk.faults.disk.traced import Traced, check_calls, of_file
from stormdesk.mechanism.tracing import Answer


@dataclass(frozen=True)
class DiskError(Traced):
    """One kind of system call returns an error. Reads, writes and opens fail for one file only, so that the service's sockets work.

    SHORT is the shortest short write: the call is not made and returns 0, and the file and its position stay as they are. strace cannot
    make a part of the data be written: it changes what a call returns, not how much it is given. A caller that writes the rest in a
    loop retries for as long as it gets 0; with --every 2 the second try works. A caller that does not check has lost all of it."""

    name: ClassVar[str] = "disk-error"
    title: ClassVar[str] = "Make a service's reads, writes, syncs or opens fail"
    EXAMPLE: ClassVar[Mapping[str, str]] = {"every": "1000"}

    calls: Calls = field(default=Calls("sync"), metadata={"help": "what fails: read, write, sync or open"})
    error: CallError = field(
        default=CallError("EIO"),
        metadata={"help": "EIO, ENOSPC, EROFS, EDQUOT, EACCES or SHORT: a write that returns 0 and writes nothing"},
    )
    every: Count = field(default=Count(1), metadata={"help": "every n-th call fails", "grid": ("100", "10", "1")})
    path: str = field(default="", metadata={"help": "only for this file; required unless --calls is sync"})

    def probes(self, site: Site) -> Mapping[str, Argv]:
        check_calls(self.calls, self.path, "the file on which they fail")
        if self.error == "SHORT" and self.calls != "write":
            raise UsageError("--error SHORT requires --calls write")
        return self.traced_probes(site)

    def plan(self, facts: HostFacts, site: Site, ttl_s: float | None) -> Plan | Unsupported:
        short = self.error == "SHORT"
        how, does = ("retval=0", "writes nothing") if short else (f"error={self.error}", f"fails with {self.error}")
        says, paths = of_file(self.calls, int(self.every), self.path)
        return self.traced(
            facts, site, ttl_s, Answer((str(self.calls),), how, int(self.every), paths), f"{says} {does}"
        )
