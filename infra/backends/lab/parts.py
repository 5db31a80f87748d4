"""A lab's networks, volumes, hosts and services, one at a time: create or update (`put_`), read (`drift_of_`), delete (`drop_`).

Pulumi uses these functions. The direct engine passes a whole lab to the lab init, which creates its parts with the same code.
All raise HostError when a part could not be created as declared.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from stormdesk.core import shell
from stormdesk.core.errors import HostError
from stormdesk.infra.backends.lab import content, control, drift, inside, records, volume
from stormdesk.infra.backends.lab.spec import BridgeSpec, HostSpec, LabSpec, ServiceSpec, VolumeSpec

GONE = ["not there"]
INSIDE = ("mnt", "net", "pid", "uts", "ipc")


def put_network(lab: str, bridge: BridgeSpec) -> None:
    """Create a network, or reset the addresses of the existing one with that name."""
    control.ask(lab, {"do": "put-network", "network": msgspec.to_builtins(bridge)})


def drop_network(lab: str, name: str) -> None:
    """Remove a network; its hosts' interfaces stay, without a bridge."""
    control.ask(lab, {"do": "drop-network", "name": name})


def put_volume(it: VolumeSpec) -> None:
    """Create a volume's image; an existing one keeps its data."""
    if it.image and not os.path.exists(it.image):
        os.makedirs(os.path.dirname(it.image), mode=0o700, exist_ok=True)
        volume.create(it.image, it.size_mib)


def drop_volume(it: VolumeSpec) -> None:
    """Remove a volume's image once its host has released it."""
    if it.image:
        volume.wait_released(it.image, 5.0)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(it.image)


def put_host(lab: str, host: HostSpec) -> None:
    """Create a host, or update an existing one to `host` (rebooting it if needed), and wait until it is up."""
    control.ask(lab, {"do": "put-host", "host": msgspec.to_builtins(host)}, 60.0)
    up = _up(lab)
    seen = _observe(up, host.name, drift.OBSERVE_HOST)
    if seen is not None and drift.of_host(host, seen):
        commands = drift.mend_host(host, seen)
        _script(up[host.name], INSIDE, "".join(f"{shell.words(command)} || true\n" for command in commands))
        left = drift_of_host(lab, host)
        if left:
            raise HostError(f"lab {lab}: host {host.name} could not be repaired: {'; '.join(left)}")


def drop_host(lab: str, name: str) -> None:
    """Power a host off and forget it. Its volume's image stays."""
    control.ask(lab, {"do": "drop-host", "name": name})


def put_service(lab: str, host: str, service: ServiceSpec) -> None:
    """Add a service to a host, or update the existing one with that name; it is started or restarted."""
    control.ask(lab, {"do": "put-service", "host": host, "service": msgspec.to_builtins(service)}, 90.0)


def drop_service(lab: str, host: str, name: str) -> None:
    """Stop a host's service and remove it."""
    control.ask(lab, {"do": "drop-service", "host": host, "name": name}, 90.0)


def has_network(lab: str, name: str) -> bool:
    """Does the lab have a network with that name?"""
    return any(network.name == name for network in _known(lab).bridges)


def has_host(lab: str, name: str) -> bool:
    """Does the lab have a host with that name, up or not?"""
    return any(host.name == name for host in _known(lab).hosts)


def has_service(lab: str, host: str, name: str) -> bool:
    """Does a host of the lab have a service with that name, running or not?"""
    return any(it.name == host and any(s.name == name for s in it.services) for it in _known(lab).hosts)


def drift_of_network(lab: str, bridge: BridgeSpec) -> Sequence[str]:
    """A network's differences from its declaration; empty if there are none, as for all `drift_of_`."""
    fabric = _fabric(lab)
    return drift.of_network(bridge, fabric) if fabric else GONE


def drift_of_volume(it: VolumeSpec) -> Sequence[str]:
    """A volume image's differences from its declaration; a tmpfs, which has no image, is checked with its host."""
    if not it.image:
        return []
    if not os.path.exists(it.image):
        return GONE
    size = os.path.getsize(it.image)
    return [] if size == it.size_mib << 20 else [f"{size >> 20} MiB, declared {it.size_mib}"]


def drift_of_host(lab: str, host: HostSpec) -> Sequence[str]:
    """A host's differences from its declaration: not up, links, addresses, routes, qdiscs, netfilter rules, its mount."""
    state = control.status(lab).get(host.name)
    if state is None:
        return GONE
    seen = _observe(_up(lab), host.name, drift.OBSERVE_HOST)
    return drift.of_host(host, seen) if seen is not None else [f"not up: {state['state']}"]


def drift_of_service(lab: str, host: str, name: str) -> Sequence[str]:
    """A service's differences from its declaration."""
    if not has_service(lab, host, name):
        return GONE
    seen = _observe(_up(lab), host, drift.OBSERVE_SERVICES)
    return drift.of_service(name, seen) if seen is not None else ["its host is not up"]


def drift_of(lab: str) -> Mapping[str, Sequence[str]]:
    """All parts of a lab that have drifted, with their differences: `{"host trader-a": ["eth1 is down"]}`."""
    declared, up = document(lab), _up(lab)
    fabric = _fabric(lab)
    found = {f"network {it.name}": drift.of_network(it, fabric) if fabric else GONE for it in declared.bridges}
    for host in declared.hosts:
        if host.volume:
            found[f"volume of {host.name}"] = drift_of_volume(host.volume)
        seen = _observe(up, host.name, drift.OBSERVE)
        found[f"host {host.name}"] = drift_of_host(lab, host) if seen is None else drift.of_host(host, seen)
        if seen is not None:
            found |= {f"service {s.name} on {host.name}": drift.of_service(s.name, seen) for s in host.services}
    return {part: differences for part, differences in found.items() if differences}


def mend(lab: str, drifted: Mapping[str, Sequence[str]]) -> None:
    """Repair the parts that `drift_of` named."""
    declared = document(lab)
    for bridge in declared.bridges:
        if f"network {bridge.name}" in drifted:
            put_network(lab, bridge)
    for host in declared.hosts:
        if f"host {host.name}" in drifted:
            put_host(lab, host)
        for service in host.services:
            if f"service {service.name} on {host.name}" in drifted:
                put_service(lab, host.name, service)


def document(lab: str) -> LabSpec:
    """A lab's current document, from its lab init."""
    return msgspec.convert(control.ask(lab, {"do": "spec"}), LabSpec)


def _known(lab: str) -> LabSpec:
    """A lab's current document; an empty one if the lab does not run."""
    if records.running(lab):
        return document(lab)
    return LabSpec(name=lab, ttl_s=0, home="", run_dir="", layer="", binds=(), bridges=(), hosts=())


def _fabric(lab: str) -> drift.Seen | None:
    """The observed state of a lab's networks; None if the lab does not run."""
    pid = records.running(lab)
    return drift.parse(_script(pid, ("net",), drift.OBSERVE_HOST)) if pid else None


def _up(lab: str) -> Mapping[str, int]:
    """The pid 1 of each host that is up."""
    states = control.status(lab)
    pids = control.host_pids(lab, records.running(lab))
    return {host: pid for host, pid in pids.items() if states.get(host, {}).get("state") == "up"}


def _observe(up: Mapping[str, int], host: str, script: str) -> drift.Seen | None:
    """A host's state as `script` observes it; None if the host is not up."""
    return drift.parse(_script(up[host], INSIDE, script)) if host in up else None


def _script(pid: int, namespaces: Sequence[str], script: str) -> str:
    dropped = "drop=" + ",".join(map(str, content.DROPPED))
    command = [control.quick_python(), "-I", "-S", str(Path(inside.__file__)), str(pid), dropped, *namespaces]
    done = subprocess.run(command, input=script, capture_output=True, text=True, check=False, timeout=30)
    if done.returncode != 0:
        raise HostError(f"entering process {pid}: {done.stderr.strip()}")
    return done.stdout
