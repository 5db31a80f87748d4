"""A folder that is away: renamed within its parent, else an empty file system over it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from stormdesk.core.model import Argv, HostFacts
from stormdesk.core.plan import Step


@dataclass(frozen=True)
class Folder:
    """The folder at `path`: what it is called meanwhile, what our mount is called, and why it cannot be renamed, or ""."""

    path: str
    aside: str
    source: str
    fixed: str


@dataclass(frozen=True)
class Rename:
    """It has another name: whoever opens it by its own finds nothing; what is open stays open."""

    name: ClassVar[str] = "rename"
    tools: ClassVar[Argv] = ("mv",)
    touches: ClassVar[Argv] = ()
    probes: ClassVar[Mapping[str, Argv]] = {}

    def able(self, intent: Folder, facts: HostFacts) -> str:
        return intent.fixed

    def steps(self, intent: Folder, facts: HostFacts) -> tuple[Step, ...]:
        return (
            Step(("sd_rename", intent.path, intent.aside), (("sd_rename_back", intent.path, intent.aside),)),
        )  # fmt: skip


@dataclass(frozen=True)
class Cover:
    """An empty read-only tmpfs over it."""

    name: ClassVar[str] = "cover"
    tools: ClassVar[Argv] = ("mount", "umount")
    touches: ClassVar[Argv] = ("mount",)
    probes: ClassVar[Mapping[str, Argv]] = {}

    def able(self, intent: Folder, facts: HostFacts) -> str:
        return ""

    def steps(self, intent: Folder, facts: HostFacts) -> tuple[Step, ...]:
        return (Step(("sd_cover", intent.path, intent.source), (("sd_cover_gone", intent.path, intent.source),)),)


LADDER = (Rename(), Cover())
