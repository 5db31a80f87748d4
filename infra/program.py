"""The Pulumi program of an environment: its topology as resources, and the output `stormdesk_inventory`.

The same values whoever runs it: `python -m stormdesk.infra.automation` for `invoke env.*`, `infra/__main__.py` for `pulumi up`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

import pulumi

from stormdesk import inventory as documents
from stormdesk.errors import UsageError
from stormdesk.infra import home, stacks
from stormdesk.infra.backends.lab import control, deploy
from stormdesk.infra.home import Material, Record
from stormdesk.infra.topology import Topology
from stormdesk.inventory import Inventory, InventoryHost

OUTPUT = "stormdesk_inventory"


def run(record: Record, topology: Topology, material: Material) -> None:
    """Declare everything, and export the inventory document."""
    if record.backend not in DECLARE:
        raise UsageError(f"no backend '{record.backend}'. There is: {', '.join(DECLARE)}.")
    hosts = DECLARE[record.backend](record, topology, material)
    pulumi.export(OUTPUT, json.loads(documents.render(inventory(record, hosts))))


def inventory(record: Record, hosts: Mapping[str, InventoryHost]) -> Inventory:
    """The inventory document of an environment."""
    return Inventory(
        version=documents.VERSION, environment=record.name, expires_at=record.expires_at, hosts=dict(hosts)
    )


def of(record: Record) -> tuple[Topology, Material]:
    """The topology and the keys of an environment, which are made the first time they are asked for."""
    bare = stacks.named(record.topology, stacks.Credentials(api_key="", api_secret=""))
    material = home.material(record.name, [host.name for host in bare.hosts])
    return stacks.named(record.topology, material.credentials), material


def order(record: Record, topology: Topology, material: Material) -> deploy.Order:
    """What a lab is made from."""
    return deploy.Order(
        name=record.name,
        topology=topology,
        home=home.directory(record.name),
        ttl_s=record.ttl_s,
        expires_at=record.expires_at,
        login=material.login,
        host_keys=material.host_keys,
        layer=control.require(),
    )


def _lab(record: Record, topology: Topology, material: Material) -> Mapping[str, InventoryHost]:
    from stormdesk.infra.backends.lab import declared

    wanted = order(record, topology, material)
    declared.declare(wanted)
    return deploy.inventory_hosts(wanted)


DECLARE: Mapping[str, Callable[[Record, Topology, Material], Mapping[str, InventoryHost]]] = {"lab": _lab}


def identity(record: Record, material: Material) -> None:
    """Write the key that the inventory names, for those who run the program without `invoke env.up`."""
    home.write(home.directory(record.name) / "id_ed25519", material.login.private)
