"""The inventory entry of a host of a topology. Pure; used by every backend."""

from __future__ import annotations

from stormdesk.core.inventory import InventoryHost, Link, ServiceEntry
from stormdesk.infra.topology import Host, Topology


def entry(
    topology: Topology,
    host: Host,
    *,
    address: str,
    host_key: str,
    identity_file: str,
    port: int = 22,
    proxy_command: str = "",
) -> InventoryHost:
    """The entry of a host that shares this machine's kernel; its sshd listens on `address` and `port`."""
    volume = topology.volume_on(host.name)
    return InventoryHost(
        name=host.name,
        role=host.role,
        address=address,
        port=port,
        host_key=host_key,
        identity_file=identity_file,
        identities_only=True,  # an agent with many keys would exhaust sshd's MaxAuthTries
        proxy_command=proxy_command,
        networks={
            p.network: Link(interface=p.interface, address=p.address, address6=p.address6) for p in host.placements
        },
        services={
            s.name: ServiceEntry(user=s.user, manager=host.manager, ports=s.ports, pidfile=s.pidfile)
            for s in topology.services_on(host.name)
        },
        paths={"data": volume.path} if volume else {},
        shares_kernel=True,
    )
