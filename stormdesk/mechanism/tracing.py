"""System calls of a process that fail, lie or take long: strace, attached to it for as long as the fault is in. Pure.

It stops the process at each call that it makes, so all of them become slower, not only those that are changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from stormdesk.core.model import Argv, HostFacts
from stormdesk.core.plan import Step

# A `?` before a call: an architecture that has no such call does without it.
CALLS: Mapping[str, str] = {
    "read": "?read,?pread64,?readv,?preadv,?preadv2",
    "write": "?write,?pwrite64,?writev,?pwritev,?pwritev2",
    "sync": "?fsync,?fdatasync,?msync,?sync_file_range",
    "open": "?open,?openat,?openat2,?creat",
}


@dataclass(frozen=True)
class Answer:
    """What calls answer. `calls` are some of `CALLS`, `how` is strace's word for it (`error=EIO`), every `every`-th of them; of
    `paths` only, where some are given."""

    calls: Sequence[str]
    how: str
    every: int = 1
    paths: tuple[str, ...] = ()

    @property
    def options(self) -> Argv:
        """Of strace."""
        calls = ",".join(CALLS[name] for name in self.calls)
        when = f":when={self.every}+{self.every}" if self.every > 1 else ""
        paths = (word for path in self.paths for word in ("-P", path))
        return (*paths, "-e", f"trace={calls}", "-e", f"inject={calls}:{self.how}{when}")


@dataclass(frozen=True)
class Change:
    """What calls of the process `identity` answer, and of the one that follows it, where it is that of `service`."""

    identity: str
    service: str
    manager: str
    answer: Answer


@dataclass(frozen=True)
class Strace:
    """A helper on the host that traces the process, and the next one after a restart."""

    name: ClassVar[str] = "strace"
    tools: ClassVar[Argv] = ("strace",)
    touches: ClassVar[Argv] = ("process",)
    probes: ClassVar[Mapping[str, Argv]] = {"strace": ("sd_trace_able",), "traced": ("sd_traced",)}

    def able(self, intent: Change, facts: HostFacts) -> str:
        return not_traceable(intent.identity, facts)

    def steps(self, intent: Change, facts: HostFacts) -> tuple[Step, ...]:
        of = (intent.identity, intent.service, intent.manager)
        return (Step(("sd_trace", *of, *intent.answer.options), (("sd_trace_end",),)),)


def not_traceable(identity: str, facts: HostFacts) -> str:
    """Why the process cannot be traced on that host, by the probes of Strace; "" when it can."""
    said = facts.answers["strace"].stdout.strip()
    if said.startswith("no:"):
        return said.removeprefix("no: ")
    pid = identity.partition(".")[0]
    if pid in facts.answers["traced"].stdout.split():
        return f"somebody traces process {pid} already"
    return ""
