"""A limit of how fast a process and its children read or write one disk: the throttle of their control group. Pure.

It holds back what they have the disk do themselves: O_DIRECT, fsync and fdatasync, reads that the page cache does not have. With cgroup
v1 it does not hold back what they leave in the page cache, which the kernel writes later by itself: as long as there is room in it, a
plain write is as fast as ever. With v2 that is theirs, too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from stormdesk.core.model import Argv, HostFacts
from stormdesk.core.plan import Proof, Step

SMALL, LARGE = 4096, 1 << 20
LEAST_BLOCKS = 2  # the first one may be free


@dataclass(frozen=True)
class Throttling:
    """The process, by its identity. `group` is `blkio <folder>`, the control group of version 1 that it is in, `io <folder>`, that of
    version 2 which it has for itself, or `no: <why>`. `disk` is major:minor; `does` is read or write; `rate` is in bytes, `iops` in
    operations per second, 0 for no limit; `ours` names a new group, `probe` a new file on the disk."""

    identity: str
    group: str
    disk: str
    does: str
    rate: int
    iops: int
    ours: str
    probe: str

    @property
    def folder(self) -> str:
        """Of the group that is throttled."""
        kind, _, folder = self.group.partition(" ")
        return folder if kind == IoMax.kind else f"{folder.rstrip('/')}/{self.ours}"

    @property
    def measured(self) -> tuple[int, int, float]:
        """(blocks, bytes of each, seconds that the limit leaves them): what takes a second or a little more."""
        size = SMALL if self.iops else min(LARGE, max(SMALL, self.rate // 16 // SMALL * SMALL))
        most = [count for count in (self.iops, math.ceil(self.rate / size)) if count]
        blocks = max(LEAST_BLOCKS, min(most))
        takes = [blocks * size / self.rate] if self.rate else []
        return blocks, size, max([*takes, *([blocks / self.iops] if self.iops else [])])


@dataclass(frozen=True)
class Blkio:
    """Version 1: the processes move to a new group below the one that they are in, and back."""

    name: ClassVar[str] = "blkio"
    kind: ClassVar[str] = "blkio"
    tools: ClassVar[Argv] = ()
    touches: ClassVar[Argv] = ("process",)
    probes: ClassVar[Mapping[str, Argv]] = {}

    def able(self, intent: Throttling, facts: HostFacts) -> str:
        return _not_of(self.kind, intent)

    def steps(self, intent: Throttling, facts: HostFacts) -> tuple[Step, ...]:
        limits = (intent.does, str(intent.rate), str(intent.iops))
        do = ("sd_throttle", intent.identity, intent.folder, intent.disk, *limits)
        return (Step(do, (("sd_unthrottle", intent.folder, intent.probe),)),)


@dataclass(frozen=True)
class IoMax:
    """Version 2: a limit of the group that a service has for itself."""

    name: ClassVar[str] = "io.max"
    kind: ClassVar[str] = "io"
    tools: ClassVar[Argv] = ()
    touches: ClassVar[Argv] = ("process",)
    probes: ClassVar[Mapping[str, Argv]] = {}

    def able(self, intent: Throttling, facts: HostFacts) -> str:
        return _not_of(self.kind, intent)

    def steps(self, intent: Throttling, facts: HostFacts) -> tuple[Step, ...]:
        limits = {f"{intent.does[0]}bps": intent.rate, f"{intent.does[0]}iops": intent.iops}
        words = " ".join(f"{name}={value}" for name, value in limits.items() if value)
        where = (intent.folder, intent.disk, words)
        return (Step(("sd_set_io_max", *where), (("sd_unset_io_max", *where, intent.probe),)),)


def _not_of(kind: str, intent: Throttling) -> str:
    has, _, rest = intent.group.partition(" ")
    if has == "no:":
        return rest
    return "" if has == kind else f"its control group is of {has}"


def proof(intent: Throttling) -> Proof:
    """How it is known: the disk is faster by itself, and a process in the group has the rate of the limit."""
    blocks, size, takes_s = intent.measured
    work = (intent.probe, intent.does, f"{blocks} {size}", str(round(takes_s * 100)))
    return Proof(
        baseline=("sd_disk_is_faster", *work),
        witness=("sd_witness_throttled", intent.folder, *work),
        still=("sd_is_throttled", intent.identity, intent.folder, intent.disk),
    )


LADDER = (Blkio(), IoMax())
