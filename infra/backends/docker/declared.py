"""Containers and networks as Pulumi resources (pulumi-docker)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pulumi
import pulumi_docker as docker

from stormdesk.core.inventory import InventoryHost
from stormdesk.infra.backends.docker import plan
from stormdesk.infra.backends.docker.plan import LOOPBACK, SSH, Attachment, Container, Data, Segment, Site
from stormdesk.infra.topology import Topology


def declare(topology: Topology, site: Site, opts: pulumi.ResourceOptions | None = None) -> Mapping[str, InventoryHost]:
    """Declare all networks and containers of a stack; returns the inventory's hosts, which are known in advance.

    `opts` apply to every resource, for example a provider for a remote engine.
    """
    # The plugin cannot limit the number of processes, so hosts must not claim a limit.
    site = replace(site, abilities=replace(site.abilities, processes=False))
    networks = {it.name: _network(it, opts) for it in plan.segments(topology, site)}
    made: dict[str, docker.Container] = {}
    for host in topology.hosts:
        # In the stack's order: the first trader becomes the leader.
        before = [made[other.name] for other in topology.hosts if other.name in made and other.role == host.role]
        first = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=before))
        made[host.name] = _container(plan.container(topology, host, site), networks, first)
    return plan.inventory_hosts(topology, site)


def _network(it: Segment, opts: pulumi.ResourceOptions | None) -> docker.Network:
    return docker.Network(
        it.name,
        name=it.name,
        driver="bridge",
        internal=it.internal,
        ipv6=True,
        ipam_configs=[docker.NetworkIpamConfigArgs(subnet=subnet) for subnet in (it.subnet, it.subnet6)],
        labels=[docker.NetworkLabelArgs(label=key, value=value) for key, value in it.labels.items()],
        opts=replaced_first_deleted(opts),
    )


def _container(
    it: Container, networks: Mapping[str, docker.Network], opts: pulumi.ResourceOptions | None
) -> docker.Container:
    return docker.Container(
        it.name,
        name=it.name,
        image=it.image,
        hostname=it.hostname,
        command=it.command,
        # The plugin disconnects the container from the bridge again. With the first network's name here, the container would
        # not get its fixed address; without a mode, as without memory_swap, every refresh would report a difference.
        network_mode="bridge",
        networks_advanced=[_attachment(place, networks) for place in it.networks],
        ports=[docker.ContainerPortArgs(internal=SSH, external=it.ssh_port, ip=LOOPBACK, protocol="tcp")],
        capabilities=docker.ContainerCapabilitiesArgs(adds=it.capabilities, drops=["ALL"]),
        tmpfs={place.path: place.options for place in it.tmpfs},
        mounts=[_mount(it.data, it.labels)] if it.data else [],
        memory=it.memory_mib,
        memory_swap=it.memory_mib,
        labels=[docker.ContainerLabelArgs(label=key, value=value) for key, value in it.labels.items()],
        uploads=[
            docker.ContainerUploadArgs(
                file=upload.path, content=pulumi.Output.secret(upload.text), permissions=f"{upload.mode:04o}"
            )
            for upload in it.uploads
        ],
        stop_signal=it.stop_signal,
        restart="no",
        must_run=True,
        remove_volumes=True,
        opts=replaced_first_deleted(opts),
    )


def _attachment(place: Attachment, networks: Mapping[str, docker.Network]) -> docker.ContainerNetworksAdvancedArgs:
    return docker.ContainerNetworksAdvancedArgs(
        name=networks[place.network].name,
        ipv4_address=place.address,
        ipv6_address=place.address6,
        aliases=place.aliases,
    )


def _mount(it: Data, labels: Mapping[str, str]) -> docker.ContainerMountArgs:
    if it.volume:
        options = docker.ContainerMountVolumeOptionsArgs(
            driver_name="local",
            driver_options={"size": f"{it.size_mib}m"},
            labels=[docker.ContainerMountVolumeOptionsLabelArgs(label=k, value=v) for k, v in labels.items()],
        )
        return docker.ContainerMountArgs(target=it.path, type="volume", source=it.volume, volume_options=options)
    options_ = docker.ContainerMountTmpfsOptionsArgs(size_bytes=it.size_mib << 20, mode=0o755)
    return docker.ContainerMountArgs(target=it.path, type="tmpfs", tmpfs_options=options_)


def replaced_first_deleted(opts: pulumi.ResourceOptions | None) -> pulumi.ResourceOptions:
    """Delete before replace: names, addresses and ports stay taken until the old object is gone."""
    return pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(delete_before_replace=True))
