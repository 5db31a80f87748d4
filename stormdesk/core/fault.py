"""The interface of a fault. Pure.

A fault is a frozen dataclass whose fields are its parameters (units in their names). It answers two questions: `probes()`,
what it must know of the host, and `plan()`, what it would do. It never acts. faults/CONTRIBUTING.md shows how one is added.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

from stormdesk.core.inventory import Inventory, InventoryHost
from stormdesk.core.model import Argv, HostFacts
from stormdesk.core.plan import Plan, PlanId


@dataclass(frozen=True)
class Site:
    """Where and for how long: everything a fault may know besides the host's facts. `chosen` are all hosts of the run."""

    run_id: str
    host: InventoryHost
    inventory: Inventory
    hold_s: float
    chosen: frozenset[str] = frozenset()

    def id(self, fault: str) -> PlanId:
        """The id of the plan of `fault` on this host."""
        return PlanId(fault, self.run_id, self.host.name)


@dataclass(frozen=True)
class Unsupported:
    """The fault cannot be done on this host; `reason` says why and what would help."""

    reason: str


@dataclass(frozen=True)
class Example:
    """Parameters, as one would type them, with which the fault can be tried on `host`. While it is in, the plain command
    `look` prints something there that the regular expression `shows` finds, and before and after it does not."""

    host: str
    parameters: Mapping[str, str]
    look: Argv
    shows: str
    cuts: bool = False  # does it cut our own connection there?
    irreversible: bool = False  # does it need --allow-irreversible?


class Fault(Protocol):
    """One entry of the catalogue."""

    name: ClassVar[str]
    title: ClassVar[str]  # verb first, for the menu
    undo: ClassVar[str]  # how it is undone, for the catalogue
    needs: ClassVar[Argv]  # tools that the host must have
    may_use: ClassVar[Argv]  # tools whose presence decides how it is done
    may_cut_control: ClassVar[bool]  # could it take our own connection away?

    @classmethod
    def example(cls, inventory: Inventory) -> Sequence[Example]:
        """Where on these hosts it can be tried and how: crash, storm and catalogue tests take it up by this. Empty: nowhere."""

    def probes(self, site: Site) -> Mapping[str, Argv]:
        """What must be read on the host before planning, by name."""

    def plan(self, facts: HostFacts, site: Site, ttl_s: float | None) -> Plan | Unsupported:
        """The plan, or why there is none. `ttl_s` None means the default. Raises RefusedError or UsageError for bad targets."""
