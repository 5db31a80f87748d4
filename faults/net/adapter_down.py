"""adapter-down: take a network interface down, as a pulled cable or a dead NIC would."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from stormdesk.core.fault import Example, Site, Unsupported
from stormdesk.core.inventory import Inventory
from stormdesk.core.model import Argv, HostFacts
from stormdesk.core.plan import Change, Control, PeerWitness, Plan, Proof, Step, Timing, ttl
from stormdesk.faults.net import restoring
from stormdesk.mechanism.interface import carries_us, chosen, peer_on


@dataclass(frozen=True)
class AdapterDown:
    """Link down; the undo is link up, with every address, route and neighbour that the kernel removed."""

    name: ClassVar[str] = "adapter-down"
    title: ClassVar[str] = "Take a network adapter down"
    undo: ClassVar[str] = restoring.WHAT
    needs: ClassVar[Argv] = ("ip",)
    may_use: ClassVar[Argv] = ()
    may_cut_control: ClassVar[bool] = True

    network: str = field(default="", metadata={"help": "the host's interface on this network, e.g. market"})
    interface: str = field(default="", metadata={"help": "the interface itself, e.g. eth1"})

    @classmethod
    def example(cls, inventory: Inventory) -> Sequence[Example]:
        return [
            Example(
                host.name,
                {"network": network},
                ("cat", f"/sys/class/net/{link.interface}/operstate"),
                "down",
                link.address.startswith(f"{host.address}/"),
            )
            for host in inventory.hosts.values()
            for network, link in sorted(host.networks.items())
        ]

    def probes(self, site: Site) -> Mapping[str, Argv]:
        return restoring.probes(self._interface(site))

    def plan(self, facts: HostFacts, site: Site, ttl_s: float | None) -> Plan | Unsupported:
        name = self._interface(site)
        now = restoring.as_it_is(name, facts, site)
        if isinstance(now, Unsupported):
            return now
        peer, address, no_peer = peer_on(site, name)
        witness = PeerWitness(peer, ("ping", "-c", "1", "-W", "1", address), "unreachable") if peer else None
        cuts = carries_us(name, facts, site)
        return Plan(
            id=site.id(self.name),
            timing=Timing(site.hold_s, ttl(site.hold_s, ttl_s, cuts_control=cuts), undo_wait_s=now.wait_s),
            change=Change(
                mechanism="ip link",
                says=f"ip link set dev {name} down"
                + (" (it carries SSH: the host's own watchdog reverts)" if cuts else ""),
                reverts_what=f"link up, {now.count} addresses, routes and neighbours",
                steps=(Step(("ip", "link", "set", "dev", name, "down"), restoring.restore(now)),),
                resources=(f"link:{name}",),
                rechecks=((("ip", "-o", "link", "show", "dev", name), facts.answers["link"].stdout.strip()),),
                touches=restoring.TOUCHES,
            ),
            control=Control(cuts, witness, no_peer),
            proof=Proof(baseline=("sd_not_down", name), witness=("sd_witness_down", name)),
        )

    def _interface(self, site: Site) -> str:
        return chosen(self.name, self.network, self.interface, site)
