"""Holding a process right before a system call of its own: strace delays the entry of that call. Pure.

strace counts for each thread. It stops the threads at the calls that it looks at, which makes those slower.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from stormdesk.core.model import Argv, HostFacts
from stormdesk.core.plan import Step
from stormdesk.mechanism import tracing


@dataclass(frozen=True)
class Call:
    """The `nth` call `name` of a thread of the process `identity`, held for `for_s` seconds at most."""

    identity: str
    name: str
    nth: int
    for_s: float


@dataclass(frozen=True)
class Delayed:
    """strace, attached until the call is let go."""

    name: ClassVar[str] = "strace"
    tools: ClassVar[Argv] = ("strace",)
    touches: ClassVar[Argv] = ("process",)
    probes: ClassVar[Mapping[str, Argv]] = tracing.Strace.probes

    def able(self, intent: Call, facts: HostFacts) -> str:
        said = facts.answers["call"].stdout.strip()
        if said.startswith("no:"):
            return said.removeprefix("no: ")
        return tracing.not_traceable(intent.identity, facts)

    def steps(self, intent: Call, facts: HostFacts) -> tuple[Step, ...]:
        of = (intent.identity, intent.name, str(intent.nth), str(round(intent.for_s)))
        return (Step(("sd_break_at", *of), (("sd_break_end", intent.identity),)),)


LADDER = (Delayed(),)
