"""The network of the lab as lines for `ip -batch`. Pure.

Bridges and the hosts' switch ports live in the lab init's network namespace; each host has the other end of its ports.
Duplicate address detection is off: every address is known to be unique, and it would delay IPv6 by a second.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from stormdesk.infra.backends.lab.spec import BridgeSpec, HostSpec


def fabric(bridges: Iterable[BridgeSpec]) -> Sequence[str]:
    """Make the bridges, with the controller's addresses."""
    lines = ["link set lo up"]
    for bridge in bridges:
        lines += [f"link add name {bridge.name} type bridge stp_state 0 forward_delay 0 mcast_snooping 0"]
        lines += [f"addr add {address} dev {bridge.name}{_nodad(address)}" for address in bridge.addresses]
        lines += [f"link set {bridge.name} up"]
    return lines


def ports(host: HostSpec, boot: int, pid: int) -> Sequence[str]:
    """Connect a host's namespace (that of process `pid`) to its bridges.

    Port names carry the boot number: the old ports go away with the old namespace, but only some time later.
    """
    lines = []
    for i, link in enumerate(host.links):
        port = f"p{host.number}.{i}.{boot}"
        peer = f"peer name {link.interface} address {link.mac} netns {pid}"
        lines += [f"link add name {port} type veth {peer}", f"link set {port} master {link.bridge} up"]
    return lines


def inside(host: HostSpec) -> Sequence[str]:
    """Addresses and routes, run in the host's own namespace."""
    lines = ["link set lo up"]
    for link in host.links:
        lines += [f"link set {link.interface} up", f"addr add {link.address} brd + dev {link.interface}"]
        lines += [f"addr add {link.address6} dev {link.interface} nodad"]
    return [*lines, *(f"route add {route.to} via {route.via}" for route in host.routes)]


def _nodad(address: str) -> str:
    return " nodad" if ":" in address else ""
