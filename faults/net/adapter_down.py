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
from stormdesk.host import network
from stormdesk.mechanism.interface import carries_us, chosen, link_of, peer_on, probes


@dataclass(frozen=True)
class AdapterDown:
    """Link down; undo is link up with every address, route and neighbour that going down took away."""

    name: ClassVar[str] = "adapter-down"
    title: ClassVar[str] = "Take a network adapter down"
    undo: ClassVar[str] = "link up, then addresses, routes and neighbours (v4 and v6) as they were"
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
            **probes(name),
            # All of them: with `dev` added, ip leaves out routes that go over several links.
            "route4": ("ip", "-o", "-4", "route", "show", "table", "all"),
            "route6": ("ip", "-o", "-6", "route", "show", "table", "all"),
            "neigh": ("ip", "-o", "neigh", "show", "nud", "permanent"),
            "proxy": ("ip", "-o", "neigh", "show", "proxy"),
            "links": ("ip", "-o", "link", "show"),
            "nexthop": ("ip", "-o", "nexthop", "show"),
            "gateways": ("sd_lost_gateways", name),
            "version": ("ip", "-V"),
        }

    def plan(self, facts: HostFacts, site: Site, ttl_s: float | None) -> Plan | Unsupported:
        name = self._interface(site)
        link = link_of(name, facts, site)
        said = {key: answer.stdout for key, answer in facts.answers.items()}
        try:
            now = network.interface(name, _read(link, said))
        except network.MiddleError as error:
            return Unsupported(
                f"route `{error}` is between equal routes of other interfaces: it could not be put back there"
            )
        if not now.up:
            raise RefusedError(f"{name} on {site.host.name} is down already. Nothing was changed")
        if why := _no_way_back(now, said):
            return Unsupported(why)
        peer, address, no_peer = peer_on(site, name)
        witness = PeerWitness(peer, ("ping", "-c", "1", "-W", "1", address), "unreachable") if peer else None
        cuts = carries_us(name, facts, site)
        undo = _undo(now)
        return Plan(
            id=site.id(self.name),
            timing=Timing(site.hold_s, ttl(site.hold_s, ttl_s, cuts_control=cuts)),
            change=Change(
                mechanism="ip link",
                says=f"ip link set dev {name} down"
                + (" (it carries SSH: the host's own watchdog reverts)" if cuts else ""),
                reverts_what=f"link up, {now.count} addresses, routes and neighbours",
                steps=(Step(("ip", "link", "set", "dev", name, "down"), undo),),
                resources=(f"link:{name}",),
                rechecks=((("ip", "-o", "link", "show", "dev", name), link),),
                touches=("link", "addr", "route4", "route6", "neigh", "nexthop"),
            ),
            control=Control(cuts, witness, no_peer),
            proof=Proof(baseline=("sd_not_down", name), witness=("sd_witness_down", name)),
        )

    def _interface(self, site: Site) -> str:
        return chosen(self.name, self.network, self.interface, site)


def _read(link: str, said: Mapping[str, str]) -> network.Said:
    neighbours = said["neigh"] + said["proxy"]
    return network.Said(link, said["addr"], said["route4"], said["route6"], neighbours, said["links"], said["nexthop"])


def _undo(now: network.Interface) -> tuple[Argv, ...]:
    """Link up, then what going down took away; nothing that is still present."""
    undo: list[Argv] = [("ip", "link", "set", "dev", now.name, "up")]
    if now.addresses6:
        undo.append(("sd_addresses_back", now.name, *now.addresses6))
    if now.nexthops:
        undo.append(("sd_nexthops_back", *now.nexthops))
    for family, routes in (("4", now.routes), ("6", now.routes6)):
        if routes:
            words = (word for route in routes for word in (route.how, route.line, route.beside, route.expires))
            undo.append(("sd_routes_back", family, *words))
    if now.neighbours:
        undo.append(("sd_neighbours_back", now.name, *now.neighbours))
    return tuple(undo)


def _no_way_back(now: network.Interface, said: Mapping[str, str]) -> str:
    """Why the interface could not be restored in full, or ""."""
    if "iproute2" not in said["version"] and (lost := _beyond_busybox(now)):
        return f"{now.name} has {lost}, which busybox's ip cannot put back: install iproute2"
    if gateway := said["gateways"].partition("\n")[0]:
        return (
            f"gateway {gateway} is not reached by {now.name} any more (ip route get {gateway} oif {now.name}): "
            "its routes could not be put back"
        )
    return ""


def _beyond_busybox(now: network.Interface) -> str:
    """The first thing on the interface that busybox's ip cannot show in full or add, or ""."""
    if now.addresses6:
        return f"address {now.addresses6[-1].split()[0]}"
    if now.neighbours:
        return f"neighbour {now.neighbours[0]}"
    known = {"via", "dev", "src", "mtu", "scope", "proto", "table", "metric", "onlink"}
    for route in (*now.routes, *now.routes6):
        words = route.line.split()
        words = words[2:] if words[0] == "local" else words[1:]
        if route.expires or any(word.isalpha() and word not in known for word in words[::2]) or route.beside:
            return f"route {route.line}"
    return ""
