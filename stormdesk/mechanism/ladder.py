"""The ladder: the first mechanism that a host can do is taken; those before it, and why not, go into plan, record and report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from stormdesk.core.errors import UsageError
from stormdesk.core.fault import Unsupported
from stormdesk.core.model import Argv, HostFacts
from stormdesk.core.plan import Step

Intent_contra = TypeVar("Intent_contra", contravariant=True)
Intent = TypeVar("Intent")


class Mechanism(Protocol[Intent_contra]):
    """One way to do what a value of `Intent` says."""

    @property
    def name(self) -> str: ...

    @property
    def tools(self) -> Argv:
        """The tools that the host must have."""

    @property
    def touches(self) -> Argv:
        """The kinds of fingerprint lines that it changes."""

    @property
    def probes(self) -> Mapping[str, Argv]:
        """The probes that `able` needs, by name."""

    def able(self, intent: Intent_contra, facts: HostFacts) -> str:
        """Why it cannot be done there, besides a tool that is missing; "" when it can."""

    def steps(self, intent: Intent_contra, facts: HostFacts) -> tuple[Step, ...]:
        """What is done, each with its way back."""


@dataclass(frozen=True)
class Chosen(Generic[Intent]):
    """The mechanism that is used, and (name, why not) of each that comes before it."""

    mechanism: Mechanism[Intent]
    rejected: tuple[tuple[str, str], ...]


def choose(
    ladder: Sequence[Mechanism[Intent]], intent: Intent, facts: HostFacts, wanted: str = ""
) -> Chosen[Intent] | Unsupported:
    """The first of the ladder that the host can do; `wanted` allows only the one of that name. Raises UsageError for a name
    that the ladder does not have."""
    names = [mechanism.name for mechanism in ladder]
    if wanted and wanted not in names:
        raise UsageError(f"--mechanism {wanted}: it must be {' or '.join(names)}")
    rejected: list[tuple[str, str]] = []
    for mechanism in ladder:
        why = "another one was asked for" if wanted not in ("", mechanism.name) else _why_not(mechanism, intent, facts)
        if not why:
            return Chosen(mechanism, tuple(rejected))
        rejected.append((mechanism.name, why))
    return Unsupported("; ".join(f"{name}: {why}" for name, why in rejected if wanted in ("", name)))


def _why_not(mechanism: Mechanism[Intent], intent: Intent, facts: HostFacts) -> str:
    missing = [tool for tool in mechanism.tools if tool not in facts.tools]
    return f"the host has no {', '.join(missing)}" if missing else mechanism.able(intent, facts)


def probes(ladder: Sequence[Mechanism[Intent]]) -> dict[str, Argv]:
    """What all of them must read on the host."""
    return {name: argv for mechanism in ladder for name, argv in mechanism.probes.items()}


def tools(ladder: Sequence[Mechanism[Intent]]) -> Argv:
    """The tools that decide which of them is taken."""
    return tuple(sorted({tool for mechanism in ladder for tool in mechanism.tools}))
