"""From what was asked to plans that passed every guard: one round trip of reading per host, no change anywhere."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from stormdesk.core import safety
from stormdesk.core.clocks import Ahead
from stormdesk.core.errors import HostError, LackingError, StormdeskError, UsageError
from stormdesk.core.fault import Fault, Site, Unsupported
from stormdesk.core.inventory import InventoryHost
from stormdesk.core.model import HostFacts, Identity
from stormdesk.core.plan import Plan, ttl
from stormdesk.host import probe, render
from stormdesk.host.probe import HostStatus
from stormdesk.host.scripts import host_scripts
from stormdesk.run.blast import Blast, ask
from stormdesk.ssh.pool import Pool

FACTS_DEADLINE_S = 10.0


@dataclass(frozen=True)
class Prepared:
    """A plan and the facts it was made from."""

    plan: Plan
    facts: HostFacts


def controller_identity() -> Identity:
    """Which kernel and pid namespace we are in: a host with the same is our own machine."""
    return Identity(Path("/proc/sys/kernel/random/boot_id").read_text().strip(), os.readlink("/proc/self/ns/pid"))


def read_facts(pool: Pool, fault: Fault, site: Site) -> HostFacts:
    """One round trip. Raises TransportError, HostError, or UsageError for parameters that name nothing on this host."""
    probes = fault.probes(site)
    sent = time.monotonic()
    done = pool.script(
        site.host.name, render.facts(host_scripts(), probes, (*fault.needs, *getattr(fault, "may_use", ()))), FACTS_DEADLINE_S
    )
    if done.code != 0:
        raise HostError(f"{site.host.name}: could not read it: {done.stderr.strip()[-200:]}")
    ahead = Ahead.seen(probe.uptime_cs(done.stdout) / 100, sent, time.monotonic())
    return replace(probe.facts(site.host.name, done.stdout, probes), ahead=ahead)


def prepare(
    pool: Pool,
    fault: Fault,
    hosts: Sequence[InventoryHost],
    run_id: str,
    hold_s: float,
    ttl_s: float | None,
    allow: safety.Allow,
    beside: Mapping[str, HostFacts] = MappingProxyType({}),
) -> list[Prepared]:
    """Plans for all hosts, or the first reason why not (UsageError, RefusedError, TransportError). `beside` are the hosts of
    the same run's other faults that may be in at the same time."""
    if not hosts:
        raise UsageError("--host matches no host.   invoke env.status lists them")
    chosen = frozenset(host.name for host in hosts)
    sites = {host.name: Site(run_id, host, pool.inventory, hold_s, chosen) for host in hosts}
    # What can be said without a connection is said without one.
    for site in sites.values():
        fault.probes(site)
    if not fault.may_cut_control:
        ttl(hold_s, ttl_s, cuts_control=False)
    controller = controller_identity()
    asked = safety.rivals({*chosen, *beside}, pool.inventory, allow)
    answers = pool.each(
        [*sites, *sorted(asked)],
        lambda name: read_facts(pool, fault, sites[name]) if name in sites else ask(pool, name),
    )
    found: dict[str, HostFacts] = {}
    rivals: dict[str, HostStatus | StormdeskError] = {}
    for name, answer in answers.items():
        if isinstance(answer, HostFacts):
            safety.check_host(answer, pool.inventory, controller)
            found[name] = answer
        elif name in sites and isinstance(answer, StormdeskError):
            raise answer
        else:
            rivals[name] = answer
    Blast(pool, run_id, {**beside, **found}, allow).check(rivals)
    return [_plan(fault, facts, sites[name], ttl_s, allow) for name, facts in found.items()]


def _plan(fault: Fault, facts: HostFacts, site: Site, ttl_s: float | None, allow: safety.Allow) -> Prepared:
    if missing := [tool for tool in fault.needs if tool not in facts.tools]:
        raise LackingError(
            f"{fault.name} cannot be done on {facts.host}: it has no {', '.join(missing)}. Nothing was changed"
        )
    plan = fault.plan(facts, site, ttl_s)
    if isinstance(plan, Unsupported):
        raise LackingError(f"{fault.name} cannot be done on {facts.host}: {plan.reason}. Nothing was changed")
    safety.check_plan(plan, facts, facts.active, allow)
    return Prepared(completed(plan, site), facts)


def completed(plan: Plan, site: Site) -> Plan:
    """The plan with what is not the fault's to say: which machine it is for, and which services are on it."""
    target = f"{site.inventory.environment} {site.host.target} {site.host.host_key}"
    services = tuple(f"{entry.manager} {name}" for name, entry in sorted(site.host.services.items()) if entry.manager)
    return replace(plan, id=replace(plan.id, target=target), change=replace(plan.change, services=services))
