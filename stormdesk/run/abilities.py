"""What can be done on a host: each fault with its own example there, planned and never run. Changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from stormdesk.core.errors import RefusedError, UsageError
from stormdesk.core.fault import Example, Fault, Site, Unsupported
from stormdesk.core.inventory import InventoryHost
from stormdesk.run.prepare import read_facts
from stormdesk.ssh.pool import Pool

HOLD_S = 10.0


@dataclass(frozen=True)
class Ability:
    """A fault on a host: by which mechanism, and why not by those that come before it (name, reason); or why not at all."""

    fault: str
    mechanism: str = ""
    rejected: tuple[tuple[str, str], ...] = ()
    irreversible: bool = False
    why_not: str = ""


def abilities(
    pool: Pool, faults: Mapping[str, type[Fault]], host: InventoryHost, made: Callable[[str, Example], Fault]
) -> Sequence[Ability]:
    """Of every fault what this host can do, by one round trip each. Raises TransportError for a host that does not answer."""
    return [_ability(pool, name, kind, host, made) for name, kind in faults.items()]


def _ability(
    pool: Pool, name: str, kind: type[Fault], host: InventoryHost, made: Callable[[str, Example], Fault]
) -> Ability:
    example = next((each for each in kind.example(pool.inventory) if each.host == host.name), None)
    if example is None:
        return Ability(name, why_not="the inventory names nothing on this host to try it on")
    site = Site("r-00000000-0000-plan", host, pool.inventory, HOLD_S, frozenset({host.name}))
    try:
        fault = made(name, example)
        facts = read_facts(pool, fault, site)
        if missing := [tool for tool in fault.needs if tool not in facts.tools]:
            return Ability(name, why_not=f"the host has no {', '.join(missing)}")
        plan = fault.plan(facts, site, None)
    except (RefusedError, UsageError) as error:
        return Ability(name, why_not=str(error).removesuffix(". Nothing was changed"))
    if isinstance(plan, Unsupported):
        return Ability(name, why_not=plan.reason)
    return Ability(name, plan.change.mechanism, plan.change.rejected, plan.change.irreversible)
