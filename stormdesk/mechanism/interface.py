"""The interface that a fault targets, and a peer that can observe it from the other side. Pure."""

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
