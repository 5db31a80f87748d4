"""Load on processors, memory and disks: by stress-ng where the host has it, else by shell and dd alone; in a control group of its own where
one can be made. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from stormdesk.core.model import Argv, HostFacts
from stormdesk.core.plan import Step

END = (("sd_background_end", "stressor"),)


def own_group(said: str, run_id: str) -> tuple[tuple[Step, ...], str]:
    """(the step that makes a control group for the stressor, where it is in words), from what the host said: the answer of
    `sd_parent_group`. Where none can be made the stressor is in the one of the session that starts it, and that is said."""
    if said.startswith("no:"):
        return (), f"in no control group of its own ({said.removeprefix('no: ')})"
    folder = f"{said.rstrip('/')}/stormdesk.{run_id}"
    return (Step(("sd_make_group", folder), (("sd_end_group", folder),)),), f"in control group {folder}"


@dataclass(frozen=True)
class Burning:
    """`percent` of each of `cores` processors."""

    cores: int
    percent: int


@dataclass(frozen=True)
class Holding:
    """Memory, in MiB."""

    mib: int


@dataclass(frozen=True)
class Writing:
    """`workers` files of `mib` MiB each in the new folder `folder`."""

    folder: str
    workers: int
    mib: int


@dataclass(frozen=True)
class BurnNg:
    """stress-ng spreads the load over fractions of a second."""

    name: ClassVar[str] = "stress-ng"
    tools: ClassVar[Argv] = ("stress-ng",)
    touches: ClassVar[Argv] = ("process",)
    probes: ClassVar[Mapping[str, Argv]] = {}

    def able(self, intent: Burning, facts: HostFacts) -> str:
        return ""

    def steps(self, intent: Burning, facts: HostFacts) -> tuple[Step, ...]:
        words = ("--quiet", "--cpu", str(intent.cores), "--cpu-load", str(intent.percent), "--temp-path", "/tmp")  # noqa: S108
        return (Step(("sd_background", "stressor", "stress-ng", *words), END),)


@dataclass(frozen=True)
class BurnShell:
    """A loop of the shell, which works for a part of each second."""

    name: ClassVar[str] = "sh"
    tools: ClassVar[Argv] = ()
    touches: ClassVar[Argv] = ("process",)
    probes: ClassVar[Mapping[str, Argv]] = {}

    def able(self, intent: Burning, facts: HostFacts) -> str:
        return ""

    def steps(self, intent: Burning, facts: HostFacts) -> tuple[Step, ...]:
        return (Step(("sd_burn", str(intent.cores), str(intent.percent)), END),)


@dataclass(frozen=True)
class Hold:
    """One way to hold memory: `verb` does it, with tool `name`."""

    name: str
    verb: str
    touches: ClassVar[Argv] = ("process",)
    probes: ClassVar[Mapping[str, Argv]] = {}

    @property
    def tools(self) -> Argv:
        return (self.name,)

    def able(self, intent: Holding, facts: HostFacts) -> str:
        return ""

    def steps(self, intent: Holding, facts: HostFacts) -> tuple[Step, ...]:
        return (Step((self.verb, str(intent.mib)), END),)


@dataclass(frozen=True)
class Write:
    """One way to write to a disk again and again: `verb` does it, with tool `name`; `seen_by` is the evidence."""

    name: str
    verb: str
    seen_by: str
    touches: ClassVar[Argv] = ("process",)
    probes: ClassVar[Mapping[str, Argv]] = {}

    @property
    def tools(self) -> Argv:
        return (self.name,)

    def able(self, intent: Writing, facts: HostFacts) -> str:
        return ""

    def steps(self, intent: Writing, facts: HostFacts) -> tuple[Step, ...]:
        do = (self.verb, intent.folder, str(intent.workers), str(intent.mib))
        return (Step(do, (*END, ("sd_written_away", intent.folder))),)

    def witness(self, intent: Writing) -> Argv:
        return (self.seen_by, intent.folder, str(intent.mib))


BURN = (BurnNg(), BurnShell())
HOLD = (Hold("stress-ng", "sd_hold_memory_ng"), Hold("dd", "sd_hold_memory"))
WRITE = (
    Write("stress-ng", "sd_write_again_ng", "sd_witness_written"),
    Write("dd", "sd_write_again", "sd_witness_writes"),
)
