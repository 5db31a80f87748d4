"""Containers and networks as values, derived from a topology. Pure.

`container` is the one place where a host becomes a container; the engine's command line (argv.py), Pulumi (declared.py)
and Swarm (swarm.py) only render its value.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from stormdesk.core.inventory import InventoryHost
from stormdesk.infra.backends.docker.start import DOCUMENT, MODULE, Start
from stormdesk.infra.backends.lab import files
from stormdesk.infra.entries import entry
from stormdesk.infra.keys import KeyPair
from stormdesk.infra.topology import Host, Network, Topology

LOOPBACK = "127.0.0.1"
SSH = 22
PYTHON = "/opt/stormdesk/bin/python"
LABEL = "stormdesk.environment"
OWNER, EXPIRES = "stormdesk.owner", "stormdesk.expires"

# What sshd, supervisord and the faults require; all others are dropped. Engines report capabilities in this form.
CAPABILITIES = (
    "CAP_AUDIT_WRITE",  # without it, sshd ends a session with a terminal that it cannot log
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",  # the second boot finds folders owned by other users
    "CAP_KILL",  # services run as their own users
    "CAP_NET_ADMIN",  # links, addresses, routes
    "CAP_NET_BIND_SERVICE",  # port 22, on engines that do not open low ports to everybody
    "CAP_NET_RAW",  # ping, the witness of a network that is cut
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",  # sshd's privilege separation
    "CAP_SYS_NICE",
    "CAP_SYS_PTRACE",  # strace, and listing who has a file open
)
OOM = "CAP_SYS_RESOURCE"  # lets sshd and the watchdog protect themselves from the OOM killer


@dataclass(frozen=True, kw_only=True)
class Abilities:
    """What an engine can do. `cgroup`: v1, v2 or none; `processes`: a caller can limit their number;
    `oom`: a container with SYS_RESOURCE starts; `sized_volumes`: local volumes take a size.
    """

    cgroup: str = "none"
    processes: bool = False
    oom: bool = False
    sized_volumes: bool = False


@dataclass(frozen=True, kw_only=True)
class Site:
    """What the hosts of one environment share. `ports`: the loopback port at which each host's sshd is published."""

    environment: str
    owner: str
    expires_at: str
    image: str
    authorized_key: str
    identity_file: str
    host_keys: Mapping[str, KeyPair]
    ports: Mapping[str, int]
    abilities: Abilities = Abilities()

    @property
    def labels(self) -> Mapping[str, str]:
        """The labels on every object of this environment, so that it is found without any local state."""
        return {LABEL: self.environment, OWNER: self.owner, EXPIRES: self.expires_at}


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A Docker network. `internal`: reachable only from its own hosts."""

    name: str
    subnet: str
    subnet6: str
    internal: bool
    labels: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Attachment:
    """A container's endpoint on a network; addresses have no prefix length, `aliases` are its names there."""

    network: str
    address: str
    address6: str
    aliases: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Upload:
    """A file put into the container before it starts; `mode` as in chmod. It holds keys, so it is a secret."""

    path: str
    text: str
    mode: int


@dataclass(frozen=True, kw_only=True)
class Tmpfs:
    """A file system in memory; `mode` as in chmod."""

    path: str
    size_mib: int
    mode: int

    @property
    def options(self) -> str:
        """The options, as for `mount -o`."""
        return f"rw,nosuid,nodev,mode={self.mode:o},size={self.size_mib}m"


@dataclass(frozen=True, kw_only=True)
class Data:
    """The data folder, a separate file system: the engine's volume with that name, or a tmpfs if the name is empty."""

    path: str
    size_mib: int
    volume: str


@dataclass(frozen=True, kw_only=True)
class Container:
    """One container. `max_processes` None: the engine is not asked to limit them."""

    name: str
    image: str
    hostname: str
    command: Sequence[str]
    networks: Sequence[Attachment]
    capabilities: Sequence[str]
    tmpfs: Sequence[Tmpfs]
    data: Data | None
    memory_mib: int
    max_processes: int | None
    labels: Mapping[str, str]
    uploads: Sequence[Upload]
    ssh_port: int
    stop_signal: str = "SIGKILL"  # busybox init reboots on TERM, and an engine would wait 10 s for it


def segments(topology: Topology, site: Site) -> Sequence[Segment]:
    """The networks."""
    return [
        Segment(
            name=_network_name(topology, site, n.name),
            subnet=n.subnet,
            subnet6=n.subnet6,
            internal=not n.controlled,
            labels=site.labels,
        )
        for n in topology.networks
    ]


def container(topology: Topology, host: Host, site: Site) -> Container:
    """One host as a container."""
    abilities = site.abilities
    return Container(
        name=f"stormdesk-{site.environment}-{host.name}",
        image=site.image,
        hostname=host.name,
        command=(PYTHON, "-P", "-m", MODULE),
        networks=_attachments(topology, host, site),
        capabilities=sorted((*CAPABILITIES, OOM) if abilities.oom else CAPABILITIES),
        tmpfs=(Tmpfs(path="/run", size_mib=32, mode=0o755), Tmpfs(path="/tmp", size_mib=64, mode=0o1777)),  # noqa: S108
        data=_data(topology, host, site),
        memory_mib=host.memory_mib,
        max_processes=host.max_processes if abilities.processes else None,
        labels={**site.labels, "stormdesk.host": host.name},
        uploads=[Upload(path=DOCUMENT, text=document(topology, host, site), mode=0o600)],
        ssh_port=site.ports[host.name],
    )


def document(topology: Topology, host: Host, site: Site, *, fixed: bool = True) -> str:
    """The JSON that pid 1 of the container reads. `fixed`: hosts have the topology's addresses."""
    content = files.content(
        topology,
        host,
        files.Site(
            environment=site.environment,
            expires_at=site.expires_at,
            python=PYTHON,
            authorized_key=site.authorized_key,
            host_keys={name: key.private for name, key in site.host_keys.items()},
            facts={host.name: _facts(topology, host, site)},
        ),
    )
    start = Start(
        files=[*content.files, *(file for service in content.services for file in service.files)],
        directories=[*content.directories, *(made for service in content.services for made in service.directories)],
        links={p.interface: str(ipaddress.ip_interface(p.address).network) for p in host.placements},
        routes={r.to: r.via for r in host.routes} if fixed else {},
        hosts=fixed,
    )
    return msgspec.json.encode(start).decode()


def inventory_hosts(topology: Topology, site: Site) -> Mapping[str, InventoryHost]:
    """The hosts as the inventory has them."""
    return {
        host.name: entry(
            topology,
            host,
            address=LOOPBACK,
            port=site.ports[host.name],
            host_key=site.host_keys[host.name].public,
            identity_file=site.identity_file,
        )
        for host in topology.hosts
    }


def shortcomings(abilities: Abilities) -> Sequence[str]:
    """What hosts on this engine lack, one line each."""
    lines = []
    if not abilities.oom:
        lines.append("no SYS_RESOURCE on this engine: sshd and the watchdog cannot be kept from the OOM killer")
    if not abilities.sized_volumes:
        lines.append("no volumes with a size on this engine: data folders are tmpfs, so fsync on them proves nothing")
    if abilities.cgroup == "none":
        lines.append("no cgroups on this engine: faults that exhaust memory or CPU would reach the whole machine")
    elif not abilities.processes:
        lines.append("the number of processes is not limited: faults that exhaust it would reach the whole machine")
    return lines


def _facts(topology: Topology, host: Host, site: Site) -> Mapping[str, object]:
    """A host's description of itself in /etc/stormdesk/lab.json."""
    abilities = site.abilities
    return {
        "volume": "volume" if abilities.sized_volumes and topology.volume_on(host.name) else "tmpfs",
        "cgroup": abilities.cgroup,
        "memory_mib": host.memory_mib if abilities.cgroup != "none" else None,
        "max_processes": host.max_processes if abilities.processes else None,
    }


def _network_name(topology: Topology, site: Site, name: str) -> str:
    """Numbered, because engines attach interfaces in the order of the networks' names."""
    number = [n.name for n in topology.networks].index(name)
    return f"stormdesk-{site.environment}-{number}-{name}"


def _attachments(topology: Topology, host: Host, site: Site) -> Sequence[Attachment]:
    networks: Mapping[str, Network] = {n.name: n for n in topology.networks}
    return [
        Attachment(
            network=_network_name(topology, site, p.network),
            address=p.address.partition("/")[0],
            address6=p.address6.partition("/")[0],
            aliases=(f"{host.name}.{p.network}", *((host.name,) if networks[p.network].controlled else ())),
        )
        for p in host.placements
    ]


def _data(topology: Topology, host: Host, site: Site) -> Data | None:
    volume = topology.volume_on(host.name)
    if volume is None:
        return None
    name = f"stormdesk-{site.environment}-{host.name}" if site.abilities.sized_volumes else ""
    return Data(path=volume.path, size_mib=volume.size_mib, volume=name)
