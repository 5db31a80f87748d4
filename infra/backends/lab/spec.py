"""The document that `up` passes to the lab init, as JSON, fully resolved. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from stormdesk.infra.topology import Host, Init, Topology

MARKER = "/etc/stormdesk.target"  # which environment a host belongs to, and until when


class FileSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A file written at a host's first boot, or with `to` a symbolic link. `owner` names a user of the host and its group."""

    path: str
    text: str = ""
    to: str = ""
    mode: int = 0o644
    owner: str = "root"


class DirectorySpec(msgspec.Struct, frozen=True, kw_only=True):
    """A directory that is created, if missing, at each boot of the host."""

    path: str
    mode: int = 0o755
    owner: str = "root"


class LinkSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One interface of a host and the bridge at its other end."""

    interface: str
    bridge: str
    mac: str
    address: str
    address6: str
    networkd: bool = False  # configured by the host's systemd-networkd


class RouteSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A static route."""

    to: str
    via: str


class VolumeSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A file system of `size_mib` at `path`: ext4 in the file `image`, or a tmpfs when `image` is empty."""

    path: str
    size_mib: int
    image: str = ""


class ServiceSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A supervised program on a host; its files include the manager's configuration of it."""

    name: str
    files: Sequence[FileSpec]
    directories: Sequence[DirectorySpec]


class HostSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One host."""

    name: str
    memory_mib: int
    max_processes: int
    links: Sequence[LinkSpec]
    routes: Sequence[RouteSpec]
    volume: VolumeSpec | None
    files: Sequence[FileSpec]
    directories: Sequence[DirectorySpec]
    services: Sequence[ServiceSpec] = ()
    init: Init = Init.BUSYBOX


class BridgeSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One network: a bridge, with the controller's addresses where it has any."""

    name: str
    addresses: Sequence[str]


class LabSpec(msgspec.Struct, frozen=True, kw_only=True):
    """The whole lab. `binds` are the machine's paths that hosts see read-only; `home` and `run_dir` are removed with the lab."""

    name: str
    ttl_s: float
    home: str
    run_dir: str
    layer: str
    binds: Sequence[str]
    bridges: Sequence[BridgeSpec]
    hosts: Sequence[HostSpec]

    @property
    def mounts(self) -> str:
        """Where the lab init mounts its file systems (visible only inside the lab)."""
        return f"{self.run_dir}/mnt"


@dataclass(frozen=True, kw_only=True)
class Content:
    """A host's content, apart from its network configuration; made by `files.py`."""

    files: Sequence[FileSpec]
    directories: Sequence[DirectorySpec]
    services: Sequence[ServiceSpec] = ()


def bridges(topology: Topology) -> Sequence[BridgeSpec]:
    """A topology's networks as bridges."""
    return [
        BridgeSpec(name=n.name, addresses=n.controller_addresses if n.controlled else ()) for n in topology.networks
    ]


def host(topology: Topology, it: Host, content: Content, images: Mapping[str, str]) -> HostSpec:
    """The spec of a topology's host. `images` maps host names to volume image files; without an entry it is a tmpfs."""
    made = topology.volume_on(it.name)
    volume = VolumeSpec(path=made.path, size_mib=made.size_mib, image=images.get(it.name, "")) if made else None
    return HostSpec(
        name=it.name,
        memory_mib=it.memory_mib,
        max_processes=it.max_processes,
        links=_links(it),
        routes=[RouteSpec(to=r.to, via=r.via) for r in it.routes],
        volume=volume,
        files=content.files,
        directories=content.directories,
        services=content.services,
        init=it.init,
    )


def _links(it: Host) -> Sequence[LinkSpec]:
    return [
        LinkSpec(
            interface=p.interface,
            bridge=p.network,
            mac=_mac(p.address),
            address=p.address,
            address6=p.address6,
            networkd=p.networkd,
        )
        for p in it.placements
    ]


def _mac(address: str) -> str:
    """A locally administered MAC derived from the IPv4 address, so that it stays the same after a reboot."""
    return "02:00:" + ":".join(f"{int(part):02x}" for part in address.partition("/")[0].split("."))
