"""Making a volume read-only: by a remount, as a file system does with itself after an error, else by a read-only mount over it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from stormdesk.core.model import Argv, HostFacts
from stormdesk.core.plan import Step


@dataclass(frozen=True)
class Volume:
    """What is mounted at `point`: `source`, with `options`; `mounts` is how many mounts are on that point."""

    point: str
    source: str
    options: str
    mounts: int


@dataclass(frozen=True)
class Remount:
    """The file system itself. The kernel refuses that while a file is open for writing: the answer `writers` names who has one."""

    name: ClassVar[str] = "remount"
    tools: ClassVar[Argv] = ("mount",)
    touches: ClassVar[Argv] = ("mount",)
    probes: ClassVar[Mapping[str, Argv]] = {}

    def able(self, intent: Volume, facts: HostFacts) -> str:
        writers = [line.removeprefix("writer ") for line in facts.answers["writers"].stdout.splitlines() if line]
        return f"process {', '.join(writers[:3])} has a file open for writing" if writers else ""

    def steps(self, intent: Volume, facts: HostFacts) -> tuple[Step, ...]:
        closed = ",".join("ro" if option == "rw" else option for option in intent.options.split(","))
        return (
            Step(
                ("mount", "-n", "-o", f"remount,{closed}", intent.source, intent.point),
                (("mount", "-n", "-o", f"remount,{intent.options}", intent.source, intent.point),),
            ),
        )


@dataclass(frozen=True)
class Cover:
    """A read-only bind mount of it over it: for all that is opened from then on."""

    name: ClassVar[str] = "bind"
    tools: ClassVar[Argv] = ("mount", "umount")
    touches: ClassVar[Argv] = ("mount",)
    probes: ClassVar[Mapping[str, Argv]] = {}

    def able(self, intent: Volume, facts: HostFacts) -> str:
        return ""

    def steps(self, intent: Volume, facts: HostFacts) -> tuple[Step, ...]:
        return (Step(("sd_cover_read_only", intent.point), (("sd_uncover", intent.point, str(intent.mounts)),)),)


LADDER = (Remount(), Cover())
