"""Pausing a process with its children: a signal to each, else the freezer of its control group. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from stormdesk.core.model import Argv, HostFacts
from stormdesk.core.plan import Step


@dataclass(frozen=True)
class Pausing:
    """The process, by its identity. `group` is the folder of the control group that holds it and its children alone, or `no: <why>`.
    With `stop_s` and `run_s` above 0 it is paused and runs in turn, in seconds."""

    identity: str
    group: str
    stop_s: float = 0.0
    run_s: float = 0.0

    @property
    def freezer(self) -> tuple[str, str, str]:
        """(file, word that freezes, word that thaws)."""
        # Hierarchies of version 1 are named after their controller; a group of version 2 has no other freezer than its own.
        if "/freezer" in self.group:
            return f"{self.group}/freezer.state", "FROZEN", "THAWED"
        return f"{self.group}/cgroup.freeze", "1", "0"


@dataclass(frozen=True)
class Stop:
    """SIGSTOP: the parent of the process learns of it, and anybody may continue it."""

    name: ClassVar[str] = "stop"
    tools: ClassVar[Argv] = ()
    touches: ClassVar[Argv] = ("service", "process")
    probes: ClassVar[Mapping[str, Argv]] = {}

    def able(self, intent: Pausing, facts: HostFacts) -> str:
        return ""

    def steps(self, intent: Pausing, facts: HostFacts) -> tuple[Step, ...]:
        steps = [Step(("sd_stop_family", intent.identity), (("sd_continue_family", intent.identity),))]
        if intent.stop_s:
            again = ("sd_pause_again", intent.identity, f"{intent.stop_s:g}", f"{intent.run_s:g}")
            steps.append(Step(again, (("sd_background_end", "pauser"),)))
        return tuple(steps)


@dataclass(frozen=True)
class Freezer:
    """The freezer of its control group: nobody but root sees it, and no signal continues it."""

    name: ClassVar[str] = "freezer"
    tools: ClassVar[Argv] = ()
    touches: ClassVar[Argv] = ("service", "process")
    probes: ClassVar[Mapping[str, Argv]] = {}

    def able(self, intent: Pausing, facts: HostFacts) -> str:
        if intent.stop_s:
            return "it does not alternate"
        return intent.group.removeprefix("no: ") if intent.group.startswith("no:") else ""

    def steps(self, intent: Pausing, facts: HostFacts) -> tuple[Step, ...]:
        file, frozen, thawed = intent.freezer
        return (Step(("sd_set_file", file, frozen), (("sd_unset_file", file, thawed),)),)


LADDER = (Stop(), Freezer())
