"""ntp-block: cut a host off from its time servers, as a firewall rule or a lost route would."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from stormdesk.core.fault import Example, Site, Unsupported
from stormdesk.core.inventory import Inventory
from stormdesk.core.model import Argv, HostFacts
from stormdesk.core.plan import Change, Plan, Proof, Timing, ttl
from stormdesk.faults.net.ruling import MAY_USE, MECHANISM, UNDO
from stormdesk.mechanism.ladder import choose, probes
from stormdesk.mechanism.netfilter import Rules, Verdict, ladder, rules_name
from stormdesk.mechanism.traffic import Traffic

LADDER = ladder(Verdict())


@dataclass(frozen=True)
class NtpBlock:
    """Packets to and from UDP port 123 are dropped; the time service keeps running, and the clock drifts."""

    name: ClassVar[str] = "ntp-block"
    title: ClassVar[str] = "Cut a host off from its time servers"
    undo: ClassVar[str] = UNDO
    needs: ClassVar[Argv] = ("grep",)
    may_use: ClassVar[Argv] = MAY_USE
    may_cut_control: ClassVar[bool] = False

    mechanism: str = field(default="", metadata=MECHANISM)

    @classmethod
    def example(cls, inventory: Inventory) -> Sequence[Example]:
        return [Example(host, {}, ("nft", "list", "ruleset"), r"dport 123 .*drop") for host in inventory.hosts]

    def probes(self, site: Site) -> Mapping[str, Argv]:
        return {**probes(LADDER), "services": ("sd_time_services",)}

    def plan(self, facts: HostFacts, site: Site, ttl_s: float | None) -> Plan | Unsupported:
        rules = Rules(rules_name(site.run_id), Traffic(protocol="udp", ports=("123",)), Verdict())
        way = choose(LADDER, rules, facts, self.mechanism)
        if isinstance(way, Unsupported):
            return way
        services = ", ".join(facts.answers["services"].stdout.split()) or "none"
        return Plan(
            id=site.id(self.name),
            timing=Timing(site.hold_s, ttl(site.hold_s, ttl_s, cuts_control=False)),
            change=Change(
                mechanism=way.mechanism.name,
                rejected=way.rejected,
                says=f"drop packets to and from UDP port 123 with {way.mechanism.name}; time services there: {services}",
                reverts_what="our rules removed",
                steps=way.mechanism.steps(rules, facts),
                resources=("ntp",),
                touches=way.mechanism.touches,
            ),
            proof=Proof(baseline=("sd_ntp_open",), witness=("sd_witness_ntp", *way.mechanism.witness(rules))),
        )
