"""The same hosts as one-replica swarm services, for stacks too large for one machine. Pure.

Services have no fixed addresses, so hosts find each other by name (DNS round robin with one entry): `venue.market` is the
venue on the network `market`. Networks are IPv4 overlays; the node itself publishes SSH, so neither ingress nor IPVS is
needed. A node publishes on all of its addresses: keep those SSH ports behind your own firewall.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec

from stormdesk.core.inventory import InventoryHost, Link
from stormdesk.infra import rewriting
from stormdesk.infra.backends.docker import argv, plan
from stormdesk.infra.backends.docker.argv import Argv
from stormdesk.infra.backends.docker.plan import SSH, Container, Segment, Site, Upload
from stormdesk.infra.entries import entry
from stormdesk.infra.topology import Host, Topology

NODE_LABEL = "stormdesk.node"


@dataclass(frozen=True, kw_only=True)
class Node:
    """A swarm node: the value of its label `stormdesk.node`, and the address of its published ports."""

    label: str
    address: str


@dataclass(frozen=True, kw_only=True)
class Secret:
    """A service's file that the swarm stores encrypted. The name depends on the text, since secrets are immutable."""

    name: str
    upload: Upload


@dataclass(frozen=True, kw_only=True)
class Service:
    """One host: its container, its secret, and its node."""

    container: Container
    secret: Secret
    node: Node


def placed(topology: Topology, nodes: Sequence[Node]) -> Mapping[str, Node]:
    """A node for each host, round robin within each role: on two nodes, two traders never share one."""
    roles = {role: i for i, role in enumerate(dict.fromkeys(h.role for h in topology.hosts))}
    seen: dict[str, int] = {}
    result = {}
    for host in topology.hosts:
        number = seen.setdefault(host.role, roles[host.role])
        seen[host.role] += 1
        result[host.name] = nodes[number % len(nodes)]
    return result


def service(topology: Topology, host: Host, site: Site, nodes: Sequence[Node]) -> Service:
    """One host as a service."""
    topology = rewriting.by_name(topology)
    # A volume would be left behind when the service moves to another node, so the data is a tmpfs.
    site = replace(site, abilities=replace(site.abilities, sized_volumes=False))
    text = plan.document(topology, host, site, fixed=False)
    container = plan.container(topology, host, site)
    upload = replace(container.uploads[0], text=text, mode=0o400)
    name = f"{container.name}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
    return Service(
        container=replace(container, uploads=(upload,)),
        secret=Secret(name=name, upload=upload),
        node=placed(topology, nodes)[host.name],
    )


def inventory_hosts(topology: Topology, site: Site, nodes: Sequence[Node]) -> Mapping[str, InventoryHost]:
    """The hosts as the inventory has them. Links hold names in place of addresses, which the swarm assigns."""
    at = placed(topology, nodes)
    result = {}
    for host in topology.hosts:
        made = entry(
            topology,
            host,
            address=at[host.name].address,
            port=site.ports[host.name],
            host_key=site.host_keys[host.name].public,
            identity_file=site.identity_file,
        )
        links = {p.network: Link(interface=p.interface, address=f"{host.name}.{p.network}") for p in host.placements}
        result[host.name] = msgspec.structs.replace(made, networks=links)
    return result


def network_argv(it: Segment) -> Argv:
    """Create an overlay network."""
    words = ["network", "create", "--driver", "overlay", "--attachable", "--subnet", it.subnet]
    return [*words, *(["--internal"] if it.internal else []), *argv.labels(it.labels), it.name]


def secret_argv(it: Service) -> Argv:
    """Create a service's secret; its text is read from standard input."""
    return ["secret", "create", *argv.labels(it.container.labels), it.secret.name, "-"]


def service_argv(it: Service) -> Argv:
    """Create a service; the swarm schedules and starts it later."""
    host = it.container
    limits = ["--limit-memory", f"{host.memory_mib}m"]
    if host.max_processes is not None:
        limits += ["--limit-pids", str(host.max_processes)]
    secret = f"source={it.secret.name},target={it.secret.upload.path},mode={it.secret.upload.mode:04o}"
    return [
        *("service", "create", "--quiet", "--detach", "--name", host.name, "--hostname", host.hostname),
        *("--replicas", "1", "--endpoint-mode", "dnsrr", "--no-resolve-image", "--stop-signal", host.stop_signal),
        *("--constraint", f"node.labels.{NODE_LABEL}=={it.node.label}"),
        *("--publish", f"mode=host,target={SSH},published={host.ssh_port},protocol=tcp"),
        *(word for place in host.networks for word in ("--network", _place(place.network, place.aliases))),
        *("--cap-drop", "ALL", *(word for name in host.capabilities for word in ("--cap-add", name))),
        *(word for place in host.tmpfs for word in ("--mount", argv.tmpfs_mount(place))),
        *(["--mount", argv.mount(host.data)] if host.data else []),
        *("--secret", secret, *limits),
        *argv.labels(host.labels),
        *argv.labels(host.labels, "--container-label"),
        host.image,
        *host.command,
    ]


def _place(network: str, aliases: Sequence[str]) -> str:
    return ",".join((f"name={network}", *(f"alias={alias}" for alias in aliases)))
