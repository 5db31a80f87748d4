"""net-bandwidth: limit an interface's outgoing rate, as a congested uplink or a wrong port speed would."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from stormdesk.core.errors import RefusedError
from stormdesk.core.fault import Example, Site, Unsupported
from stormdesk.core.inventory import Inventory
from stormdesk.core.model import Argv, HostFacts
from stormdesk.core.plan import Change, Control, PeerWitness, Plan, Proof, Timing, ttl
from stormdesk.core.values import BitRate
from stormdesk.mechanism import interface
from stormdesk.mechanism.interface import beside_control
from stormdesk.mechanism.ladder import choose, probes, tools
from stormdesk.mechanism.shaping import HANDLE, LADDER, Limit
from stormdesk.witness.rate import flood


@dataclass(frozen=True)
class NetBandwidth:
    """Our own root qdisc; the undo deletes it, and the kernel restores its default."""

    name: ClassVar[str] = "net-bandwidth"
    title: ClassVar[str] = "Limit a network adapter's outgoing bandwidth"
    undo: ClassVar[str] = "removes our own qdisc, known by its handle"
    needs: ClassVar[Argv] = ("ip", "tc")
    may_use: ClassVar[Argv] = (*tools(LADDER), "unshare")
    may_cut_control: ClassVar[bool] = False

    network: str = field(default="", metadata={"help": "the host's interface on this network, e.g. market"})
    interface: str = field(default="", metadata={"help": "the interface itself, e.g. eth1"})
    rate: BitRate = field(
        default=BitRate(BitRate.EXAMPLE),
        metadata={"help": "the outgoing rate limit, 64kbit..100Gbit", "grid": ("10Mbit", "1Mbit", "128kbit")},
    )
    mechanism: str = field(default="", metadata={"help": "tbf or htb; default: the first that the kernel has"})

    @classmethod
    def example(cls, inventory: Inventory) -> Sequence[Example]:
        return [
            Example(host, {"network": network}, ("tc", "qdisc", "show", "dev", link.interface), f" {HANDLE}: ")
            for host, network, link in beside_control(inventory)
        ]

    def probes(self, site: Site) -> Mapping[str, Argv]:
        name = self._interface(site)
        return {
            **interface.probes(name),
            "root": ("tc", "qdisc", "show", "dev", name),
            **probes(LADDER),
        }

    def plan(self, facts: HostFacts, site: Site, ttl_s: float | None) -> Plan | Unsupported:
        name = self._interface(site)
        interface.link_of(name, facts, site)
        self._check(name, facts, site)
        limit = Limit(name, int(self.rate))
        way = choose(LADDER, limit, facts, self.mechanism)
        if isinstance(way, Unsupported):
            return way
        peer, address, no_peer = interface.peer_on(site, name)
        rate = float(self.rate)
        return Plan(
            id=site.id(self.name),
            timing=Timing(site.hold_s, ttl(site.hold_s, ttl_s, cuts_control=False)),
            change=Change(
                mechanism=way.mechanism.name,
                rejected=way.rejected,
                says=f"{name} sends at most {self.rate}/s",
                reverts_what="our qdisc removed",
                steps=way.mechanism.steps(limit, facts),
                resources=(f"qdisc:{name}",),
                touches=way.mechanism.touches,
            ),
            control=Control(no_peer=no_peer),
            proof=Proof(
                baseline=("sd_default_root", name),
                witness=("sd_witness_qdisc", name, way.mechanism.name, HANDLE),
                peers=(PeerWitness(peer, flood(address, rate), "rate", rate),) if peer else (),
            ),
        )

    def _check(self, name: str, facts: HostFacts, site: Site) -> None:
        """RefusedError if it would slow our own connection, or replace a qdisc that is not ours."""
        if interface.carries_us(name, facts, site):
            raise RefusedError(f"{name} on {site.host.name} carries our own connection. Nothing was changed")
        roots = [line for line in facts.answers["root"].stdout.splitlines() if " root" in line and " 0: " not in line]
        if roots:
            raise RefusedError(
                f"{name} on {site.host.name} already has a root qdisc: {roots[0].strip()}. Nothing was changed"
            )

    def _interface(self, site: Site) -> str:
        return interface.chosen(self.name, self.network, self.interface, site)
