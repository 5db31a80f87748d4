"""The lab as a backend of environments (see infra/environment.py)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from stormdesk.core.errors import RefusedError
from stormdesk.core.inventory import Inventory, InventoryHost
from stormdesk.infra import home, ready
from stormdesk.infra.backends.lab import cgroup, control, deploy, layer, records
from stormdesk.infra.home import Material, Record
from stormdesk.infra.status import HostStatus
from stormdesk.infra.topology import Init, Kind, Topology

READY_S = 60.0


def prepare(
    record: Record,  # noqa: ARG001  other backends need it
    topology: Topology,
    say: Callable[[str], None],
) -> Sequence[str]:
    """Build the package layer unless a valid one exists; returns the machine's shortcomings, one per line.

    RefusedError: no lab can run here, or the layer could not be built.
    """
    control.require()
    require_cgroups(topology)
    layer.ensure(say, with_kafka=topology.has(Kind.KAFKA))
    return deploy.shortcomings()


def require_cgroups(topology: Topology) -> None:
    """RefusedError for a stack with systemd hosts on a machine without cgroups v2."""
    if any(host.init is Init.SYSTEMD for host in topology.hosts) and cgroup.tree() is None:
        raise RefusedError("systemd hosts need cgroups v2. Type: mount -t cgroup2 none /sys/fs/cgroup/unified")


def order(record: Record, topology: Topology, material: Material) -> deploy.Order:
    """The order for a lab. A running lab keeps its current package layer."""
    chosen = layer.path if records.running(record.name) else layer.require
    return deploy.Order(
        name=record.name,
        topology=topology,
        home=home.directory(record.name),
        ttl_s=record.ttl_s,
        expires_at=record.expires_at,
        login=material.login,
        host_keys=material.host_keys,
        layer=chosen(with_kafka=topology.has(Kind.KAFKA)),
    )


def declare(record: Record, topology: Topology, material: Material) -> Mapping[str, InventoryHost]:
    """Declare the lab in a Pulumi program; returns the inventory's hosts by name."""
    from stormdesk.infra.backends.lab import declared

    wanted = order(record, topology, material)
    declared.declare(wanted, home.Kept(record=record, material=material))
    return deploy.inventory_hosts(wanted)


def running(name: str) -> bool:
    """Is a lab with that name running?"""
    return bool(records.running(name))


def wait(record: Record, topology: Topology, inventory: Inventory, say: Callable[[str], None]) -> None:
    """Wait until hosts and services answer; reports when they do, or what does not."""
    ready.wait(topology, deploy.questions(inventory, records.running(record.name)), READY_S, say)


def remove(name: str, wait_s: float) -> bool:
    """Stop a lab in any state and remove what it leaves behind. True: there was something."""
    with records.locked(name, wait_s):
        control.stop(records.running(name))
        return control.sweep(name, str(home.directory(name)))


def status(inventory: Inventory) -> Sequence[HostStatus]:
    """Each host's state as the lab init reports it, and whether its sshd and services listen."""
    pid = records.running(inventory.environment)
    states, pids = control.status(inventory.environment), control.host_pids(inventory.environment, pid)
    result = []
    for host in inventory.hosts.values():
        state = states.get(host.name, {"state": "unknown", "boots": 0})
        ports = control.listening(pids[host.name]) if host.name in pids else set()
        result.append(
            HostStatus(
                name=host.name,
                role=host.role,
                address=host.address,
                state=state["state"],
                boots=state["boots"],
                ssh=host.port in ports,
                services={n: set(s.ports.values()) <= ports for n, s in host.services.items()},
            )
        )
    return result
