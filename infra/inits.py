"""A stack whose hosts have another init than busybox. Pure."""

from __future__ import annotations

from dataclasses import replace

from stormdesk.infra.topology import Host, Init, Service, Topology

NETWORKD = "market"  # the network whose interfaces networkd has on traders; the others are configured before the init starts


def with_init(stack: Topology, init: Init) -> Topology:
    """The stack with `init` on all hosts. systemd restarts every service that ends, so nothing is left to a guard alone."""
    if init is Init.BUSYBOX:
        return stack
    return replace(stack, hosts=[_host(it, init) for it in stack.hosts], services=[_service(s) for s in stack.services])


def _host(host: Host, init: Init) -> Host:
    places = [replace(p, networkd=p.network == NETWORKD and host.role == "trader") for p in host.placements]
    return replace(host, init=init, placements=places)


def _service(service: Service) -> Service:
    """A guard asks systemd in place of supervisord's socket."""
    config = {**service.config, "supervisor": "systemd"} if "supervisor" in service.config else service.config
    return replace(service, restarted_by="", config=config)
