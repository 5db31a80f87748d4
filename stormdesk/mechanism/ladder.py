"""The ladder: the first mechanism that works on a host is chosen; those rejected, with reasons, are in plan, record and report. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from stormdesk.core.errors import UsageError
from stormdesk.core.fault import Unsupported
from stormdesk.core.model import Argv, HostFacts
from stormdesk.core.plan import Step
from stormdesk.core.values import shown

Intent_contra = TypeVar("Intent_contra", contravariant=True)


class Mechanism(Protocol[Intent_contra]):
    """One way to carry out an `Intent`."""

    @property
    def name(self) -> str: ...

    @property
    def tools(self) -> Argv:
        """The tools that the host must have."""

    @property
    def touches(self) -> Argv:
        """The kinds of facts that it changes."""

    @property
    def probes(self) -> Mapping[str, Argv]:
        """The probes that `able` needs, by name."""

    def able(self, intent: Intent_contra, facts: HostFacts) -> str:
        """Why it does not work on that host, apart from missing tools; "" when it works."""

    def steps(self, intent: Intent_contra, facts: HostFacts) -> tuple[Step, ...]:
        """Its steps, each with its undo."""


Way = TypeVar("Way", bound=Mechanism[Any])


@dataclass(frozen=True)
class Chosen(Generic[Way]):
    """The chosen mechanism, and (name, reason) of each one rejected before it."""

    mechanism: Way
    rejected: tuple[tuple[str, str], ...]


def choose(ladder: Sequence[Way], intent: object, facts: HostFacts, wanted: str = "") -> Chosen[Way] | Unsupported:
    """The first mechanism of the ladder that works on the host; `wanted` pins one by name. Raises UsageError for an unknown
    name."""
    names = [mechanism.name for mechanism in ladder]
    if wanted and wanted not in names:
        raise UsageError(f"--mechanism {shown(wanted)}: it must be {' or '.join(names)}")
    rejected: list[tuple[str, str]] = []
    for mechanism in ladder:
        why = "another one was asked for" if wanted not in ("", mechanism.name) else _why_not(mechanism, intent, facts)
        if not why:
            return Chosen(mechanism, tuple(rejected))
        rejected.append((mechanism.name, why))
    return Unsupported("; ".join(f"{name}: {why}" for name, why in rejected if wanted in ("", name)))


def _why_not(mechanism: Mechanism[Any], intent: object, facts: HostFacts) -> str:
    missing = [tool for tool in mechanism.tools if tool not in facts.tools]
    return f"the host has no {', '.join(missing)}" if missing else mechanism.able(intent, facts)


def why_not(facts: HostFacts, name: str) -> str:
    """The host's error when mechanism `name` was tried there (`sd_net_able`), or "". Where it could not be tried it may still
    work: the inject will tell."""
    said = facts.answers[name].stdout.strip()
    return said.removeprefix("no: ") if said.startswith("no:") else ""


def probes(ladder: Sequence[Mechanism[Any]]) -> dict[str, Argv]:
    """The probes of all mechanisms."""
    return {name: argv for mechanism in ladder for name, argv in mechanism.probes.items()}


def tools(ladder: Sequence[Mechanism[Any]]) -> Argv:
    """The tools on which the choice depends."""
    return tuple(sorted({tool for mechanism in ladder for tool in mechanism.tools}))
