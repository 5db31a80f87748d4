"""Shutting a file system down without a flush: one ioctl, FS_IOC_SHUTDOWN. No shell can send it, so a tool must that is there. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from stormdesk.core.model import Argv, HostFacts
from stormdesk.core.plan import Step

KINDS = ("ext4", "xfs", "f2fs")  # file systems that know it


@dataclass(frozen=True)
class Cut:
    """The volume at `point`: `source` of type `kind`, mounted with `options`. `services` (`<manager> <name>`) stay down meanwhile."""

    point: str
    source: str
    kind: str
    options: str
    services: Argv


@dataclass(frozen=True)
class ShutDown:
    """One way to send it: tool `name`, by the host's verb `sd_shut_<name>`."""

    name: str
    touches: ClassVar[Argv] = ("mount", "service")
    probes: ClassVar[Mapping[str, Argv]] = {}

    @property
    def tools(self) -> Argv:
        return (self.name,)

    def able(self, intent: Cut, facts: HostFacts) -> str:
        return "" if intent.kind in KINDS else f"{intent.kind} cannot be shut down, only {', '.join(KINDS)}"

    def steps(self, intent: Cut, facts: HostFacts) -> tuple[Step, ...]:
        of = (intent.point, intent.source, intent.kind, intent.options, f"sd_shut_{self.name}", *intent.services)
        return (Step(("sd_cut_power", *of), (("sd_volume_back", *of),)),)


LADDER = (ShutDown("perl"), ShutDown("python3"))
