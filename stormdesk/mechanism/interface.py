"""Interfaces of a host: which one a fault means, and whether our own connection goes by it."""

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
