"""The lab's network as lines for `ip -batch`. Pure.

Bridges and one end of each veth pair are in the lab init's network namespace; the other end is the host's interface.
Duplicate address detection is off: every address is known to be unique, and DAD would delay IPv6 by a second.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence

from stormdesk.infra.backends.lab.spec import BridgeSpec, HostSpec


def fabric(bridges: Iterable[BridgeSpec]) -> Sequence[str]:
    """Create the bridges, with the controller's addresses."""
    return ["link set lo up", *(line for bridge in bridges for line in add(bridge))]


def add(bridge: BridgeSpec) -> Sequence[str]:
    """Create one bridge."""
    lines = [f"link add name {bridge.name} type bridge stp_state 0 forward_delay 0 mcast_snooping 0"]
    return [*lines, *settle(bridge)]


def settle(bridge: BridgeSpec) -> Sequence[str]:
    """Set the addresses of an existing bridge; any others are removed."""
    lines = [f"addr flush dev {bridge.name}"]
    lines += [f"addr add {address} dev {bridge.name}{_nodad(address)}" for address in bridge.addresses]
    return [*lines, f"link set {bridge.name} up"]


def remove(name: str) -> Sequence[str]:
    """Remove one bridge."""
    return [f"link del {name}"]


def ports(host: HostSpec, number: int, boot: int, pid: int) -> Sequence[str]:
    """Connect a host's network namespace (that of process `pid`) to its bridges.

    Port names contain the host's number and its boot number, since the kernel removes the previous boot's ports with a delay.
    """
    lines = []
    for i, link in enumerate(host.links):
        port = f"p{number}.{i}.{boot}"
        peer = f"peer name {link.interface} address {link.mac} netns {pid}"
        lines += [f"link add name {port} type veth {peer}", f"link set {port} master {link.bridge} up"]
    return lines


def inside(host: HostSpec) -> Sequence[str]:
    """Addresses and routes, to be run in the host's own namespace; networkd configures its own interfaces."""
    lines = ["link set lo up"]
    left = [link for link in host.links if link.networkd]
    for link in (link for link in host.links if not link.networkd):
        lines += [f"link set {link.interface} up", f"addr add {link.address} brd + dev {link.interface}"]
        lines += [f"addr add {link.address6} dev {link.interface} nodad"]
    ours = [route for route in host.routes if not any(reaches(link.address, link.address6, route.via) for link in left)]
    return [*lines, *(f"route add {route.to} via {route.via}" for route in ours)]


def reaches(address: str, address6: str, gateway: str) -> bool:
    """Is the gateway on the network of an interface with these addresses?"""
    return any(ipaddress.ip_address(gateway) in ipaddress.ip_interface(one).network for one in (address, address6))


def _nodad(address: str) -> str:
    return " nodad" if ":" in address else ""
