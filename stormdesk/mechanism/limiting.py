"""Limits of processes, lowered to what is in use: of descriptors and of a user's processes by prlimit, else by Python; of a service's
processes by its control group first. Pure. Only soft limits are lowered, so that no undo needs a privilege."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from stormdesk.core.model import Argv, HostFacts
from stormdesk.core.plan import Proof, Step


@dataclass(frozen=True)
class Limiting:
    """The process, by its identity, its user, what is left free, and its soft limit now. `group` is the folder of the control group that
    holds it and its children alone, or `no: <why>`."""

    identity: str
    uid: int
    kind: str  # nofile, nproc
    spare: int
    soft: str
    group: str = "no: not asked"
    most: str = ""  # its limit of processes now


@dataclass(frozen=True)
class Rlimit:
    """The soft limit of the process and its children, by the tool `name`."""

    name: str
    tools: Argv
    touches: ClassVar[Argv] = ("process",)
    probes: ClassVar[Mapping[str, Argv]] = {}

    def able(self, intent: Limiting, facts: HostFacts) -> str:
        return "root has no limit of processes" if intent.kind == "nproc" and intent.uid == 0 else ""

    def steps(self, intent: Limiting, facts: HostFacts) -> tuple[Step, ...]:
        do = ("sd_limit_family", intent.identity, intent.kind, str(intent.spare), self.name)
        return (Step(do, (("sd_unlimit_family", intent.identity, intent.kind, intent.soft, self.name),)),)


@dataclass(frozen=True)
class PidsGroup:
    """The limit of its control group. The undo is one word, written by the shell itself: it needs no free pid."""

    name: ClassVar[str] = "pids"
    tools: ClassVar[Argv] = ()
    touches: ClassVar[Argv] = ("process",)
    probes: ClassVar[Mapping[str, Argv]] = {}

    def able(self, intent: Limiting, facts: HostFacts) -> str:
        return intent.group.removeprefix("no: ") if intent.group.startswith("no:") else ""

    def steps(self, intent: Limiting, facts: HostFacts) -> tuple[Step, ...]:
        do = ("sd_pids_full", intent.group, str(intent.spare))
        return (Step(do, (("sd_unset_file", f"{intent.group}/pids.max", intent.most or "max"),)),)


def proof(intent: Limiting, mechanism: str) -> Proof:
    """How it is known that no more can be had."""
    alive = ("sd_before_signal", "CONT", intent.identity)
    if mechanism == PidsGroup.name:
        return Proof(baseline=alive, witness=("sd_witness_pids", intent.group, str(intent.spare)))
    witness = ("sd_witness_limited", intent.identity, intent.kind, str(intent.spare))
    return Proof(baseline=alive, witness=witness, still=("sd_is_limited", intent.identity, intent.kind))


FILES = (Rlimit("prlimit", ("prlimit",)), Rlimit("python3", ("python3",)))
PIDS = (PidsGroup(), *FILES)
