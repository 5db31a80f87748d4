"""The plan shared by the faults that impair packets: net-latency, net-loss and others. Not a fault itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from stormdesk.core.fault import Example, Site, Unsupported
from stormdesk.core.inventory import Inventory
from stormdesk.core.model import Argv, HostFacts
from stormdesk.core.packets import Direction
from stormdesk.core.plan import Change, Control, Plan, Proof, Timing, ttl
from stormdesk.faults.net.traffic import Selecting, ping_witness
from stormdesk.mechanism.impairment import Dropped, Impaired, Impairment, Netem, losing
from stormdesk.mechanism.interface import beside_control
from stormdesk.mechanism.ladder import choose, probes, tools
from stormdesk.mechanism.netfilter import rules_name
from stormdesk.mechanism.shim import Shim

LADDER: Sequence[Netem | Dropped | Shim] = (Netem(), *losing(), Shim())
MECHANISM = {"help": f"{', '.join(way.name for way in LADDER)}; default: the first that works on the host"}
IN = "sh", "-c", "tc qdisc; nft list ruleset; iptables-save"
SHOWS = "netem|numgen|statistic|NFQUEUE"


@dataclass(frozen=True)
class Impairing(Selecting):
    """A fault that applies an `Impairment` to the selected packets, by default to outgoing ones."""

    undo: ClassVar[str] = "removes our own qdisc, rules and helper"
    needs: ClassVar[Argv] = ("ip",)
    may_use: ClassVar[Argv] = (*tools(LADDER), "ip6tables", "unshare")
    may_cut_control: ClassVar[bool] = False
    name: ClassVar[str]

    direction: Direction = field(
        default=Direction("out"), metadata={"help": "in, out or both: as the host receives or sends it"}
    )

    @classmethod
    def example(cls, inventory: Inventory) -> Sequence[Example]:
        return [Example(host, {"network": network}, IN, SHOWS) for host, network, _ in beside_control(inventory)]

    def probes(self, site: Site) -> Mapping[str, Argv]:
        return {**self.traffic_probes(), **probes(LADDER)}

    def impaired(
        self, facts: HostFacts, site: Site, ttl_s: float | None, impairment: Impairment, says: str, mechanism: str,
        witness: tuple[Argv, str, float] | None,
    ) -> Plan | Unsupported:  # fmt: skip
        """The plan. `says` is its text, without the traffic. `witness`: the command for another host, its kind and the expected
        measurement; None if a few hundred packets prove nothing."""
        intent = Impaired(rules_name(site.run_id), self.traffic(self.name, facts, site), impairment)
        way = choose(LADDER, intent, facts, mechanism)
        if isinstance(way, Unsupported):
            return way
        seen = way.mechanism.witness(intent)
        both = len(intent.traffic.directions) == 2  # affects a ping and its reply once each
        peer, no_peer = None, ""
        if witness:
            peer, no_peer = ping_witness(site, intent.traffic, witness[0], witness[1], witness[2] * (1 + both))
        return Plan(
            id=site.id(self.name),
            timing=Timing(site.hold_s, ttl(site.hold_s, ttl_s, cuts_control=False)),
            change=Change(
                mechanism=way.mechanism.name,
                rejected=way.rejected,
                says=f"{says} {intent.traffic.says()}",
                reverts_what="our qdisc, rules and helper removed",
                steps=way.mechanism.steps(intent, facts),
                resources=way.mechanism.resources(intent),
                touches=way.mechanism.touches,
            ),
            control=Control(no_peer=no_peer),
            proof=Proof(baseline=("sd_not", *seen), witness=seen, peers=(peer,) if peer else ()),
        )
