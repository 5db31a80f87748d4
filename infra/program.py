"""The Pulumi program of an environment: its topology as resources, and the output `stormdesk_inventory`.

The same values whoever runs it: `python -m stormdesk.infra.automation` for `invoke env.*`, `infra/__main__.py` for `pulumi up`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import pulumi

from stormdesk import inventory as documents
from stormdesk.infra import backends, home, stacks
from stormdesk.infra.home import Material, Record
from stormdesk.infra.topology import Topology
from stormdesk.inventory import Inventory, InventoryHost
from stormdesk.own import OUTPUT


def run(record: Record, topology: Topology, material: Material) -> None:
    """Declare everything, and export the inventory document."""
    hosts = backends.named(record.backend).declare(record, topology, material)
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
    stack = stacks.named(record.topology, material.credentials)
    return stacks.with_resilience(stack, record.resilience), material


def identity(record: Record, material: Material) -> None:
    """Write the key that the inventory names, for those who run the program without `invoke env.up`."""
    home.write(home.directory(record.name) / "id_ed25519", material.login.private)
