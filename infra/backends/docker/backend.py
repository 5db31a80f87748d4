"""Docker containers and swarm services as backends of environments (see infra/environment.py)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from stormdesk.core.errors import RefusedError
from stormdesk.core.inventory import Inventory, InventoryHost
from stormdesk.infra import dialing, home, over_ssh, pulumi_cli, ready
from stormdesk.infra.backends.docker import choices, engine, plan
from stormdesk.infra.backends.docker.choices import Choices
from stormdesk.infra.home import Material, Record
from stormdesk.infra.status import HostStatus
from stormdesk.infra.topology import Kind, Topology
from stormdesk.ssh.pool import Pool

READY_S = 120.0
PLUGIN, PLUGIN_VERSION = "pulumi-resource-docker", "5.0.0"


def prepare(record: Record, topology: Topology, say: Callable[[str], None]) -> Sequence[str]:
    """Check the prerequisites and store the choices; returns the engine's shortcomings, one per line.

    RefusedError: Kafka is wanted, the Pulumi plugin is missing, or no engine answers.
    """
    if topology.has(Kind.KAFKA):
        raise RefusedError(
            f"containers have no Kafka, which {topology.name} needs. Use --backend lab, or --topology core"
        )
    pulumi = pulumi_cli.require()
    if not pulumi.has_plugin("docker"):
        raise RefusedError(
            f"the Pulumi engine has no Docker plugin. Type: {pulumi.path} plugin install resource docker {PLUGIN_VERSION}"
        )
    found = engine.find()
    chosen = choices.choose(found, topology, say, in_swarm=record.backend == "swarm")
    home.write(home.directory(record.name) / "choices.json", msgspec.json.encode(chosen).decode())
    return plan.shortcomings(chosen.abilities)


def declare(record: Record, topology: Topology, material: Material) -> Mapping[str, InventoryHost]:
    """Declare containers and networks in a Pulumi program; returns the inventory's hosts by name."""
    from stormdesk.infra.backends.docker import declared, declared_swarm

    chosen = _chosen(record.name)
    stack = chosen.topology(topology)
    site = chosen.site(
        environment=record.name,
        owner=record.owner,
        expires_at=record.expires_at,
        authorized_key=material.login.public,
        identity_file=str(home.directory(record.name) / "id_ed25519"),
        host_keys=material.host_keys,
    )
    if record.backend == "swarm":
        return declared_swarm.declare(stack, site, chosen.nodes)
    return declared.declare(stack, site)


def running(name: str) -> bool:
    """Has the environment been created and not expired? Stopped containers do not count as gone."""
    record = home.read_record(name)
    made = (home.directory(name) / "inventory.json").exists()
    return record is not None and made and home.seconds_left(record.expires_at) > 0


def wait(record: Record, topology: Topology, inventory: Inventory, say: Callable[[str], None]) -> None:
    """Wait until hosts and services answer; reports when they do, or what does not."""
    stack = _chosen(record.name).topology(topology)
    with Pool(inventory, dialing.dialer(inventory)) as pool:
        ready.wait(stack, over_ssh.questions(pool, stack), READY_S, say)


def remove(name: str, wait_s: float) -> bool:  # noqa: ARG001  only labs wait for one another
    """Remove every object with the environment\'s label. True: there was one, or the environment\'s folder exists."""
    there = home.directory(name).exists()
    return bool(engine.remove(engine.find(), name)) or there


def expired() -> Sequence[str]:
    """The expired environments on the engine, from labels alone; none where no engine answers."""
    try:
        return engine.expired(engine.find(), datetime.now(UTC))
    except RefusedError:
        return ()


def status(inventory: Inventory) -> Sequence[HostStatus]:
    """Each host's state, as seen over SSH."""
    return over_ssh.status(inventory)


def _chosen(name: str) -> Choices:
    return msgspec.json.decode((home.directory(name) / "choices.json").read_bytes(), type=Choices)
