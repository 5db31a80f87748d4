"""What can be done on a host: each fault with its own example there, planned and never run. Changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from stormdesk.core import safety
from stormdesk.core.errors import HostError, RefusedError, UsageError
from stormdesk.core.fault import Example, Fault, Site, Unsupported
from stormdesk.core.inventory import Inventory, InventoryHost
from stormdesk.core.model import HostFacts
from stormdesk.core.plan import Plan
from stormdesk.core.safety import Allow
from stormdesk.run.prepare import controller_identity, read_facts
from stormdesk.ssh.pool import Pool

HOLD_S = 10.0


@dataclass(frozen=True)
class Ability:
    """A fault on a host, tried with `parameters`: by which mechanism, and why not by those that come before it (name, reason); or
    why not at all; or why that is not known: the inventory names nothing to try it on, so somebody must. `unless` is why it is
    refused there without an --allow flag, and which one."""

    fault: str
    mechanism: str = ""
    rejected: tuple[tuple[str, str], ...] = ()
    irreversible: bool = False
    why_not: str = ""
    untried: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    undo: str = ""
    cuts_control: bool = False
    unless: str = ""


def abilities(
    pool: Pool, faults: Mapping[str, type[Fault]], host: InventoryHost, made: Callable[[str, Example], Fault]
) -> tuple[Sequence[Ability], str]:
    """Of every fault what this host can do, by one round trip each; and why it may be no target at all, or "". Raises
    TransportError for a host that does not answer."""
    found: list[Ability] = []
    refused = ""
    for name, kind in faults.items():
        ability, facts = _ability(pool, name, kind, host, made)
        found.append(ability)
        if facts is not None:
            refused = _refused(facts, pool.inventory)
    return found, refused


def _refused(facts: HostFacts, inventory: Inventory) -> str:
    try:
        safety.check_host(facts, inventory, controller_identity())
    except RefusedError as error:
        return _reason(error)
    return ""


def _reason(error: Exception) -> str:
    return str(error).replace(". Nothing was changed", "")


def _ability(
    pool: Pool, name: str, kind: type[Fault], host: InventoryHost, made: Callable[[str, Example], Fault]
) -> tuple[Ability, HostFacts | None]:
    examples = kind.example(pool.inventory) if hasattr(kind, "example") else ()  # a project's own may have none
    # Planning changes nothing, so what has no example here is planned as it stands.
    example = next((each for each in examples if each.host == host.name), Example(host.name, {}, (), ""))
    site = Site("r-00000000-0000-plan", host, pool.inventory, HOLD_S, frozenset({host.name}))
    facts: HostFacts | None = None
    try:
        fault = made(name, example)
        facts = read_facts(pool, fault, site)
        if missing := [tool for tool in fault.needs if tool not in facts.tools]:
            return Ability(name, why_not=f"the host has no {', '.join(missing)}"), facts
        plan = fault.plan(facts, site, None)
    except UsageError as error:
        return Ability(name, untried=_reason(error), parameters=example.parameters), facts
    except (HostError, RefusedError) as error:
        return Ability(name, why_not=_reason(error), parameters=example.parameters), facts
    if isinstance(plan, Unsupported):
        return Ability(name, why_not=plan.reason, parameters=example.parameters), facts
    return _can(name, plan, facts, example.parameters), facts


def _can(name: str, plan: Plan, facts: HostFacts, parameters: Mapping[str, str]) -> Ability:
    unless = ""
    try:
        safety.check_plan(plan, facts, 0, Allow())
    except RefusedError as error:
        unless = _reason(error)
    change = plan.change
    return Ability(
        name, change.mechanism, change.rejected, change.irreversible, parameters=parameters,
        undo=change.reverts_what, cuts_control=plan.control.cuts, unless=unless,
    )  # fmt: skip
