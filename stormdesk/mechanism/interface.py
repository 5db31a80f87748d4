"""Interfaces of a host: the one that a fault targets, whether it carries our own connection, and a peer that can observe it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from stormdesk.core.errors import RefusedError, UsageError
from stormdesk.core.fault import Site
from stormdesk.core.inventory import Inventory, Link
from stormdesk.core.model import Argv, HostFacts
from stormdesk.core.safety import check_interface
from stormdesk.core.values import shown


def chosen(fault: str, network: str, interface: str, site: Site) -> str:
    """The interface that --network or --interface names. Raises UsageError for both, neither, or a network that the host is not on."""
    links = site.host.networks
    if bool(network) == bool(interface):
        raise UsageError(
            f"{fault} needs --network or --interface. Networks of {site.host.name}: {', '.join(sorted(links))}"
        )
    if interface:
        return check_interface(interface)
    if network not in links:
        raise UsageError(f"--network {shown(network)}: {site.host.name} is on {', '.join(sorted(links))}")
    return links[network].interface


def probes(name: str) -> Mapping[str, Argv]:
    """What `link_of` and `carries_us` must know."""
    return {
        "link": ("ip", "-o", "link", "show", "dev", name),
        "addr": ("ip", "-o", "addr", "show", "dev", name),
        "carriers": ("sd_carriers",),
    }


def link_of(name: str, facts: HostFacts, site: Site) -> str:
    """The line of `ip -o link` for the interface. Raises RefusedError where there is no such interface, or by another name."""
    said = facts.answers["link"]
    if not said.ok:
        raise RefusedError(f"--interface {name}: no such interface on {site.host.name}. Nothing was changed")
    link = said.stdout.strip()
    real = link.partition(": ")[2].partition(": ")[0].partition("@")[0]
    if real != name:
        raise RefusedError(
            f"--interface {name}: on {site.host.name} that is another name of {real}. Nothing was changed"
        )
    return link


def carries_us(name: str, facts: HostFacts, site: Site) -> bool:
    """Does our own connection to the host go over the interface? Where the host cannot tell, the address in the inventory does."""
    came, *carriers = facts.answers["carriers"].stdout.splitlines() or [""]
    if came:
        return name in carriers
    own = (words[3] for words in map(str.split, facts.answers["addr"].stdout.splitlines()) if len(words) > 3)
    return site.host.address in {address.partition("/")[0] for address in own}


def beside_control(inventory: Inventory) -> Iterator[tuple[str, str, Link]]:
    """(host, network, link) of each host's networks but the one that we connect to it by, as the inventory says."""
    for host in inventory.hosts.values():
        for network, link in sorted(host.networks.items()):
            if not link.address.startswith(f"{host.address}/"):
                yield host.name, network, link


def peer_on(site: Site, interface: str) -> tuple[str, str, str]:
    """(peer, address, why not): a host on the same network, and the interface's address there, which it can reach without the control
    link. Without a peer, `why not` is the reason, "" when no other host is on that network. Hosts that the run breaks too are not
    asked, nor is this host under another name."""
    for network, link in sorted(site.host.networks.items()):
        if link.interface != interface:
            continue
        at = link.address.partition("/")[0]
        others = {
            name: other.networks[network].address.partition("/")[0]
            for name, other in sorted(site.inventory.hosts.items())
            if name != site.host.name and network in other.networks
        }
        for name, address in others.items():
            if name not in site.chosen and address != at:
                return name, at, ""
        if others:
            return "", "", f"no peer: the run cuts off every other host on {network}"
    return "", "", ""
