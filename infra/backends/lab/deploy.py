"""Deploy a topology as a lab: resolve it into a document, start the lab init, return the inventory's hosts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from stormdesk.core.inventory import Inventory, InventoryHost
from stormdesk.infra.backends.lab import cgroup, control, files, processes, records, spec, volume
from stormdesk.infra.entries import entry
from stormdesk.infra.keys import KeyPair
from stormdesk.infra.ready import Questions
from stormdesk.infra.topology import Host, Topology


@dataclass(frozen=True, kw_only=True)
class Order:
    """The lab to start. `home` is the environment's directory; `ttl_s` counts from the start of the lab init."""

    name: str
    topology: Topology
    home: Path
    ttl_s: float
    expires_at: str
    login: KeyPair
    host_keys: Mapping[str, KeyPair]
    layer: Path


def shortcomings() -> Sequence[str]:
    """What this machine cannot provide to a lab, one line each."""
    lines = []
    if not volume.loops_available():
        lines.append("no loop devices here: volumes are tmpfs, so fsync on them proves nothing")
    if cgroup.version() == "none":
        lines.append("no cgroups here: faults that exhaust memory, processes or CPU would reach the whole machine")
    return lines


def start(lab: spec.LabSpec, lock: int, expires_at: str, commit: Callable[[], None]) -> int:
    """Start a lab from its document; calls `commit` just before it records the lab. Returns the lab init's pid."""
    before = volume.nodes()

    def record(pid: int) -> None:
        commit()
        ours = {n for n, image in volume.loops().items() if image.startswith((f"{lab.home}/", lab.layer))}
        records.write(
            records.Record(
                name=lab.name,
                pid=pid,
                start_time=processes.start_time(pid),
                expires_at=expires_at,
                home=lab.home,
                loops=tuple(sorted(ours - before)),
            )
        )

    return control.start(lab, lock, record)


def note_expiry(name: str, expires_at: str) -> None:
    """Record a running lab's new expiry."""
    if known := records.read(name):
        records.write(msgspec.structs.replace(known, expires_at=expires_at))


def inventory_hosts(order: Order) -> Mapping[str, InventoryHost]:
    """The hosts as the inventory has them."""
    return {host.name: _inventory_host(order, host) for host in order.topology.hosts}


def spec_of(order: Order) -> spec.LabSpec:
    """The lab's document, fully resolved for this machine."""
    topology = order.topology
    python, binds = control.python_paths()
    images = (
        {v.host: f"{order.home}/volumes/{v.host}.ext4" for v in topology.volumes} if volume.loops_available() else {}
    )
    limits = cgroup.version()
    site = files.Site(
        environment=order.name,
        expires_at=order.expires_at,
        python=python,
        authorized_key=order.login.public,
        host_keys={name: key.private for name, key in order.host_keys.items()},
        facts={h.name: _facts(h, images, limits) for h in topology.hosts},
    )
    hosts = [spec.host(topology, h, files.content(topology, h, site), images) for h in topology.hosts]
    return spec.LabSpec(
        name=order.name,
        ttl_s=order.ttl_s,
        home=str(order.home),
        run_dir=str(records.run_dir(order.name)),
        layer=str(order.layer),
        binds=binds,
        bridges=spec.bridges(topology),
        hosts=hosts,
    )


def _facts(host: Host, images: Mapping[str, str], limits: str) -> Mapping[str, object]:
    """A host's description of its lab: /etc/stormdesk/lab.json."""
    limited = limits != "none"
    return {
        "volume": "ext4" if host.name in images else "tmpfs",
        "cgroup": limits,
        "memory_mib": host.memory_mib if limited else None,
        "max_processes": host.max_processes if limited else None,
    }


def _inventory_host(order: Order, host: Host) -> InventoryHost:
    controlled = next(n.name for n in order.topology.networks if n.controlled and host.on(n.name))
    return entry(
        order.topology,
        host,
        address=host.address_on(controlled),
        host_key=order.host_keys[host.name].public,
        identity_file=str(order.home / "id_ed25519"),
        proxy_command=control.proxy_command(order.name),
    )


def questions(inventory: Inventory, pid: int) -> Questions:
    """Readiness checks for the hosts of the lab whose init is `pid`; they bypass SSH, so no log-in is needed."""
    pids = control.host_pids(inventory.environment, pid)
    hosts = inventory.hosts
    return Questions(
        deaf=lambda: [name for name, host in hosts.items() if not control.ssh_answers(pid, host.address)],
        ports=lambda: {host: control.listening(of_host) for host, of_host in pids.items()},
        answer=lambda s: control.http_answer(pid, hosts[s.host].address, s.ports["http"], s.ready),
    )
