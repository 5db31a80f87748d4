"""adapter-down: take a network interface down, as a pulled cable or a dead card would."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from stormdesk.core.errors import RefusedError
from stormdesk.core.fault import Example, Site, Unsupported
from stormdesk.core.inventory import Inventory
from stormdesk.core.model import Argv, HostFacts
from stormdesk.core.plan import Change, Control, PeerWitness, Plan, Proof, Step, Timing, ttl
from stormdesk.host import probe
from stormdesk.mechanism.interface import chosen, peer_on


@dataclass(frozen=True)
class AdapterDown:
    """Link down; undo is link up with every address, route and IPv6 setting that going down had taken away."""

    name: ClassVar[str] = "adapter-down"
    title: ClassVar[str] = "Take a network adapter down"
    undo: ClassVar[str] = "link up, then addresses and routes (v4 and v6) as they were"
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
        name = self._interface(site)
        return {
            "link": ("ip", "-o", "link", "show", "dev", name),
            "addr": ("ip", "-o", "addr", "show", "dev", name),
            # All of them: with `dev` added, ip leaves out routes that go over several links.
            "route4": ("ip", "-o", "-4", "route", "show", "table", "all"),
            "route6": ("ip", "-o", "-6", "route", "show", "table", "all"),
        }

    def plan(self, facts: HostFacts, site: Site, ttl_s: float | None) -> Plan | Unsupported:
        name = self._interface(site)
        if not facts.answers["link"].ok:
            raise RefusedError(f"--interface {name}: no such interface on {site.host.name}. Nothing was changed")
        link = facts.answers["link"].stdout.strip()
        now = probe.interface(name, link, *(facts.answers[key].stdout for key in ("addr", "route4", "route6")))
        if not now.up:
            raise RefusedError(f"{name} on {site.host.name} is down already. Nothing was changed")
        if any("nhid" in words for words in (*now.routes, *now.routes6)):
            return Unsupported(
                f"{name} has routes by nexthop objects (ip nexthop), which going down takes away for good"
            )
        peer, address, no_peer = peer_on(site, name)
        witness = PeerWitness(peer, ("ping", "-c", "1", "-W", "1", address), "unreachable") if peer else None
        own = {words[0].split("/")[0] for words in (*now.addresses, *now.addresses6)}
        cuts = bool(own & {site.host.address, facts.control})
        undo = _undo(now)
        return Plan(
            id=site.id(self.name),
            timing=Timing(site.hold_s, ttl(site.hold_s, ttl_s, cuts_control=cuts)),
            change=Change(
                mechanism="ip link",
                says=f"ip link set dev {name} down"
                + (" (it carries SSH: the host's own watchdog reverts)" if cuts else ""),
                reverts_what=f"link up, {len(undo) - 1} addresses and routes",
                steps=(Step(("ip", "link", "set", "dev", name, "down"), undo),),
                resources=(f"link:{name}",),
                rechecks=((("ip", "-o", "link", "show", "dev", name), link),),
                touches=("link", "addr", "route4", "route6"),
            ),
            control=Control(cuts, witness, no_peer),
            proof=Proof(baseline=("sd_not_down", name), witness=("sd_witness_down", name)),
        )

    def _interface(self, site: Site) -> str:
        return chosen(self.name, self.network, self.interface, site)


def _undo(now: probe.Interface) -> tuple[Argv, ...]:
    """Link up, then what going down took away with it."""
    undo: list[Argv] = [("ip", "link", "set", "dev", now.name, "up")]
    undo += [("ip", "-4", "addr", "replace", *words, "dev", now.name) for words in now.addresses]
    undo += [("ip", "-6", "addr", "replace", *words, "dev", now.name) for words in now.addresses6]
    undo += [("ip", "-4", "route", "replace", *words) for words in now.routes]
    undo += [("ip", "-6", "route", "replace", *words) for words in now.routes6]
    return tuple(undo)
