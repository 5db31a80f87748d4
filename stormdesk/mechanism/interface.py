"""Interfaces of a host: which one a fault means, and who can look at it from the other side."""

from __future__ import annotations

from stormdesk.core.errors import UsageError
from stormdesk.core.fault import Site
from stormdesk.core.safety import check_interface


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
        raise UsageError(f"--network {network}: {site.host.name} is on {', '.join(sorted(links))}")
    return links[network].interface


def peer_on(site: Site, interface: str) -> tuple[str, str, str]:
    """(peer, address, why not): a host on the same network, and the address of the interface there by which it can look at it, not
    by way of the control link. Or, without a peer, why there is none; "" where no other host is on that network. A host that the
    run breaks as well could tell nothing, nor could this one by another name."""
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
