"""Services, secrets and overlay networks as Pulumi resources (pulumi-docker)."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import replace
from ipaddress import ip_network

import pulumi
import pulumi_docker as docker

from stormdesk.core.inventory import InventoryHost
from stormdesk.infra.backends.docker import plan, swarm
from stormdesk.infra.backends.docker.argv import DEFAULT_MODE
from stormdesk.infra.backends.docker.declared import replaced_first_deleted
from stormdesk.infra.backends.docker.plan import SSH, Attachment, Segment, Site, Tmpfs
from stormdesk.infra.backends.docker.swarm import NODE_LABEL, Node, Service
from stormdesk.infra.topology import Topology


def declare(
    topology: Topology, site: Site, nodes: Sequence[Node], opts: pulumi.ResourceOptions | None = None
) -> Mapping[str, InventoryHost]:
    """Declare all networks, secrets and services of a stack; returns the inventory's hosts.

    `opts` apply to every resource; the engine must be a swarm manager.
    """
    # The plugin cannot limit a service's processes, so hosts must not claim a limit.
    site = replace(site, abilities=replace(site.abilities, processes=False))
    networks = {it.name: _network(it, opts) for it in plan.segments(topology, site)}
    for host in topology.hosts:
        it = swarm.service(topology, host, site, nodes)
        _service(it, _secret(it, opts), networks, opts)
    return swarm.inventory_hosts(topology, site, nodes)


def _network(it: Segment, opts: pulumi.ResourceOptions | None) -> docker.Network:
    return docker.Network(
        it.name,
        name=it.name,
        driver="overlay",
        attachable=True,
        internal=it.internal,
        # The gateway that a swarm chooses anyway: if it were left out, every refresh would report a difference.
        ipam_configs=[docker.NetworkIpamConfigArgs(subnet=it.subnet, gateway=str(ip_network(it.subnet)[1]))],
        labels=[docker.NetworkLabelArgs(label=key, value=value) for key, value in it.labels.items()],
        opts=replaced_first_deleted(opts),
    )


def _secret(it: Service, opts: pulumi.ResourceOptions | None) -> docker.Secret:
    text = base64.b64encode(it.secret.upload.text.encode()).decode()
    return docker.Secret(
        f"{it.container.name}-secret",
        name=it.secret.name,
        data=text,  # pulumi-docker itself marks it secret
        labels=[docker.SecretLabelArgs(label=key, value=value) for key, value in it.container.labels.items()],
        # A service releases its old secret only once it has the new one, which has a different name.
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(delete_before_replace=False)),
    )


def _service(
    it: Service,
    secret: docker.Secret,
    networks: Mapping[str, docker.Network],
    opts: pulumi.ResourceOptions | None,
) -> docker.Service:
    host = it.container
    return docker.Service(
        host.name,
        name=host.name,
        mode=docker.ServiceModeArgs(replicated=docker.ServiceModeReplicatedArgs(replicas=1)),
        labels=[docker.ServiceLabelArgs(label=key, value=value) for key, value in host.labels.items()],
        task_spec=docker.ServiceTaskSpecArgs(
            container_spec=_container(it, secret),
            networks_advanceds=[_place(place, networks) for place in host.networks],
            placement=docker.ServiceTaskSpecPlacementArgs(constraints=[f"node.labels.{NODE_LABEL}=={it.node.label}"]),
            resources=docker.ServiceTaskSpecResourcesArgs(
                limits=docker.ServiceTaskSpecResourcesLimitsArgs(memory_bytes=host.memory_mib << 20)
            ),
        ),
        endpoint_spec=docker.ServiceEndpointSpecArgs(
            mode="dnsrr",
            ports=[
                docker.ServiceEndpointSpecPortArgs(
                    target_port=SSH, published_port=host.ssh_port, publish_mode="host", protocol="tcp"
                )
            ],
        ),
        opts=replaced_first_deleted(opts),
    )


def _container(it: Service, secret: docker.Secret) -> docker.ServiceTaskSpecContainerSpecArgs:
    host = it.container
    data = [Tmpfs(path=host.data.path, size_mib=host.data.size_mib, mode=0o755)] if host.data else []
    return docker.ServiceTaskSpecContainerSpecArgs(
        image=host.image,
        args=host.command,
        hostname=host.hostname,
        stop_signal=host.stop_signal,
        cap_adds=host.capabilities,
        cap_drops=["ALL"],
        mounts=[_mount(place) for place in (*host.tmpfs, *data)],
        labels=[docker.ServiceTaskSpecContainerSpecLabelArgs(label=k, value=v) for k, v in host.labels.items()],
        secrets=[
            docker.ServiceTaskSpecContainerSpecSecretArgs(
                secret_id=secret.id,
                secret_name=secret.name,
                file_name=it.secret.upload.path,
                file_mode=it.secret.upload.mode,
            )
        ],
    )


def _mount(it: Tmpfs) -> docker.ServiceTaskSpecContainerSpecMountArgs:
    return docker.ServiceTaskSpecContainerSpecMountArgs(
        target=it.path,
        type="tmpfs",
        tmpfs_options=docker.ServiceTaskSpecContainerSpecMountTmpfsOptionsArgs(
            size_bytes=it.size_mib << 20, mode=None if it.mode == DEFAULT_MODE else it.mode
        ),
    )


def _place(place: Attachment, networks: Mapping[str, docker.Network]) -> docker.ServiceTaskSpecNetworksAdvancedArgs:
    """By id: with a name, every refresh would report a difference."""
    return docker.ServiceTaskSpecNetworksAdvancedArgs(id=networks[place.network].id, aliases=place.aliases)
