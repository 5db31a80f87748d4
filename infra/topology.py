"""A stack as values: networks, hosts, volumes and services. Pure; every `Topology` object is valid.

Backends turn these values into running hosts: the embedded lab or containers.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from stormdesk.core.errors import UsageError

NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")
INTERFACE = re.compile(r"[a-z][a-z0-9]{0,14}")
MAX_INTERFACE = 15
MIN_VOLUME_MIB = 32


class Kind(StrEnum):
    """How a service is started: one of our Python modules, or a server that the backend knows."""

    TESTNET = "testnet"
    REDIS = "redis"
    POSTGRES = "postgres"
    KAFKA = "kafka"


class Init(StrEnum):
    """What is process 1 of a host. Beside busybox, supervisord runs the services; systemd runs them itself."""

    BUSYBOX = "busybox"
    SYSTEMD = "systemd"


@dataclass(frozen=True, kw_only=True)
class Network:
    """One layer-2 segment. `controlled` gives the controller the network's first address (for SSH)."""

    name: str
    subnet: str
    subnet6: str
    controlled: bool = False

    @property
    def controller_addresses(self) -> tuple[str, str]:
        """The controller's IPv4 and IPv6 address here, with prefix length."""
        return _first(self.subnet), _first(self.subnet6)


@dataclass(frozen=True, kw_only=True)
class Placement:
    """A host's place on one network. Addresses carry their prefix length, e.g. `10.77.1.11/24`. `aliases` are
    further names of it in /etc/hosts of all hosts. With `networkd`,
    systemd-networkd configures the interface, by a file of the host."""

    network: str
    interface: str
    address: str
    address6: str
    aliases: Sequence[str] = ()
    networkd: bool = False


@dataclass(frozen=True, kw_only=True)
class Route:
    """One static route of a host, IPv4 or IPv6: to the net `to` by the gateway `via`."""

    to: str
    via: str


@dataclass(frozen=True, kw_only=True)
class Host:
    """One host. `memory_mib` and `max_processes` limit its use of the underlying machine."""

    name: str
    role: str
    placements: Sequence[Placement]
    routes: Sequence[Route] = ()
    memory_mib: int = 1024
    max_processes: int = 512
    init: Init = Init.BUSYBOX

    @property
    def manager(self) -> str:
        """What runs its services, as the inventory names it."""
        return "systemd" if self.init is Init.SYSTEMD else "supervisor"

    def on(self, network: str) -> bool:
        """Whether the host is on that network."""
        return any(p.network == network for p in self.placements)

    def address_on(self, network: str) -> str:
        """The host's IPv4 address on a network, without prefix length."""
        place = next((p for p in self.placements if p.network == network), None)
        if place is None:
            raise UsageError(f"topology: host {self.name} is not on network {network}")
        return place.address.partition("/")[0]


@dataclass(frozen=True, kw_only=True)
class Volume:
    """A separate file system of fixed size, mounted at `path` on one host."""

    host: str
    path: str
    size_mib: int


@dataclass(frozen=True, kw_only=True)
class Service:
    """A supervised program on one host. `config` is its whole configuration (docs/formats/service-config.md).

    `ports` are the TCP ports it listens on, by name; `pidfile` is written by the service itself. `ready` is the path on
    its port `http` that answers 200 when it works; of several services with one name, one is enough. `restarted_by` is the
    service on the same host that restarts it after it ended; "" is its supervisor.
    """

    name: str
    host: str
    kind: Kind
    user: str
    ports: Mapping[str, int]
    pidfile: str
    ready: str = ""
    restarted_by: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Topology:
    """A whole stack, validated on creation: a mistake raises UsageError with the part and the reason."""

    name: str
    networks: Sequence[Network]
    hosts: Sequence[Host]
    volumes: Sequence[Volume] = ()
    services: Sequence[Service] = ()

    def __post_init__(self) -> None:
        _check_networks(self)
        _check_hosts(self)
        _check_volumes(self)
        _check_services(self)

    def host(self, name: str) -> Host:
        """The host of that name (which must exist)."""
        return next(h for h in self.hosts if h.name == name)

    def services_on(self, host: str) -> Sequence[Service]:
        """The services of one host, in the order of the topology."""
        return [s for s in self.services if s.host == host]

    def has(self, kind: Kind) -> bool:
        """Whether there is a service of that kind."""
        return any(s.kind is kind for s in self.services)

    def volume_on(self, host: str) -> Volume | None:
        """The volume of a host, if it has one."""
        return next((v for v in self.volumes if v.host == host), None)


def _fail(what: str) -> UsageError:
    return UsageError(f"topology: {what}")


def _unique(what: str, names: Iterable[object]) -> None:
    seen: set[object] = set()
    for name in names:
        if name in seen:
            raise _fail(f"{what} {name} is there twice")
        seen.add(name)


def _named(what: str, names: Sequence[str]) -> None:
    for name in names:
        if not NAME.fullmatch(name):
            raise _fail(f"{what} '{name}': lower-case letters, digits and '-', at most 31, a letter first")
    _unique(what, names)


def _check_networks(topology: Topology) -> None:
    _named("network", [n.name for n in topology.networks])
    for network in topology.networks:
        if len(network.name) > MAX_INTERFACE:
            raise _fail(f"network '{network.name}': at most {MAX_INTERFACE} characters (it becomes an interface)")
    for version, subnets in (4, [n.subnet for n in topology.networks]), (6, [n.subnet6 for n in topology.networks]):
        nets = [_network(text, version) for text in subnets]
        for i, net in enumerate(nets):
            clash = next((other for other in nets[:i] if other.overlaps(net)), None)
            if clash is not None:
                raise _fail(f"networks {clash} and {net} overlap")


def _check_hosts(topology: Topology) -> None:
    if not topology.hosts:
        raise _fail("no host")
    _named("host", [h.name for h in topology.hosts])
    networks = {n.name: n for n in topology.networks}
    taken = [a for n in topology.networks if n.controlled for a in n.controller_addresses]
    for host in topology.hosts:
        _unique(f"host {host.name}: network", (p.network for p in host.placements))
        _unique(f"host {host.name}: interface", (p.interface for p in host.placements))
        for place in host.placements:
            _check_placement(host, place, networks)
            taken += [place.address, place.address6]
        if not any(networks[p.network].controlled for p in host.placements):
            raise _fail(f"host {host.name} is on no network that the controller reaches")
        for route in host.routes:
            _check_route(host, route)
    _unique("address", (ipaddress.ip_interface(a).ip for a in taken))


def _check_placement(host: Host, place: Placement, networks: Mapping[str, Network]) -> None:
    if place.network not in networks:
        raise _fail(f"host {host.name}: no network '{place.network}'")
    if not INTERFACE.fullmatch(place.interface) or place.interface == "lo":
        raise _fail(f"host {host.name}: interface '{place.interface}'")
    if place.networkd and host.init is not Init.SYSTEMD:
        raise _fail(f"host {host.name}: {place.interface} is networkd's, and its init is {host.init}")
    network = networks[place.network]
    for address, subnet in (place.address, network.subnet), (place.address6, network.subnet6):
        if _interface(address).network != ipaddress.ip_network(subnet):
            raise _fail(f"host {host.name}: {address} is not in {subnet} of network {network.name}")


def _check_route(host: Host, route: Route) -> None:
    to, via = ipaddress.ip_network(route.to), ipaddress.ip_address(route.via)
    if to.version != via.version:
        raise _fail(f"host {host.name}: route {route.to} via {route.via}: IPv4 and IPv6 mixed")
    own = [_interface(a).network for p in host.placements for a in (p.address, p.address6)]
    if not any(via in net for net in own):
        raise _fail(f"host {host.name}: gateway {route.via} is on none of its networks")


def _check_volumes(topology: Topology) -> None:
    hosts = {h.name for h in topology.hosts}
    _unique("volume on host", (v.host for v in topology.volumes))
    for volume in topology.volumes:
        if volume.host not in hosts:
            raise _fail(f"volume {volume.path}: no host '{volume.host}'")
        if not volume.path.startswith("/") or ".." in volume.path:
            raise _fail(f"volume path '{volume.path}' on {volume.host} is not absolute")
        if volume.size_mib < MIN_VOLUME_MIB:
            raise _fail(f"volume {volume.path} on {volume.host}: {volume.size_mib} MiB, at least {MIN_VOLUME_MIB}")


def _check_services(topology: Topology) -> None:
    hosts = {h.name for h in topology.hosts}
    _unique("service", (f"{s.name} on {s.host}" for s in topology.services))
    for service in topology.services:
        if not NAME.fullmatch(service.name):
            raise _fail(f"service '{service.name}': lower-case letters, digits and '-'")
        if service.host not in hosts:
            raise _fail(f"service {service.name}: no host '{service.host}'")
        others = {s.name for s in topology.services_on(service.host) if s is not service}
        if service.restarted_by and service.restarted_by not in others:
            raise _fail(
                f"service {service.name} on {service.host}: no service '{service.restarted_by}' there restarts it"
            )
        if service.ready and "http" not in service.ports:
            raise _fail(f"service {service.name} on {service.host}: no port 'http' to ask {service.ready} on")
        for port in service.ports.values():
            if not 0 < port < 65536:
                raise _fail(f"service {service.name} on {service.host}: port {port}")
    _unique("port", (f"{port} on {s.host}" for s in topology.services for port in s.ports.values()))


def _network(text: str, version: int) -> Any:
    try:
        net = ipaddress.ip_network(text)
    except ValueError as error:
        raise _fail(f"network {text}: {error}") from error
    if net.version != version:
        raise _fail(f"network {text} is not IPv{version}")
    return net


def _interface(text: str) -> ipaddress.IPv4Interface | ipaddress.IPv6Interface:
    try:
        return ipaddress.ip_interface(text)
    except ValueError as error:
        raise _fail(f"address {text}: {error}") from error


def _first(subnet: str) -> str:
    net = ipaddress.ip_network(subnet)
    return f"{net[1]}/{net.prefixlen}"
