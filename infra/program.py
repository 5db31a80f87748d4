"""The Pulumi program of an environment: its topology as resources, and the output `stormdesk_inventory`.

It is run by `python -m stormdesk.infra.automation` for `invoke env.*`, and by `project.py` for `pulumi up`, with the same values.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence

from stormdesk.core import inventory as documents
from stormdesk.core.inventory import Inventory, InventoryHost
from stormdesk.infra import backends, home, inits, stacks
from stormdesk.infra.home import Material, Record
from stormdesk.infra.topology import Topology
from stormdesk.own import OUTPUT


def run(record: Record, topology: Topology, material: Material) -> None:
    """Declare everything, and export the inventory document."""
    hosts = backends.named(record.backend).declare(record, topology, material)
    export(inventory(record, hosts))
    sleep_while_made()


def export(document: Inventory) -> None:
    """Make the inventory document the stack's output."""
    import pulumi  # a quarter of a second, which those who only ask what an environment is made of need not wait

    pulumi.export(OUTPUT, json.loads(documents.render(document)))


def sleep_while_made() -> None:
    """Called last in a program. Pulumi waits for its calls to the engine first, then polls all outputs without a pause. The calls
    of a program start after it returned, so Pulumi sees none, and polls on a whole core until everything is made: it sees this one."""
    from pulumi.runtime.settings import SETTINGS

    SETTINGS.rpc_manager.rpcs.append(asyncio.ensure_future(asyncio.sleep(0)))


def inventory(record: Record, hosts: Mapping[str, InventoryHost]) -> Inventory:
    """The inventory document of an environment."""
    return Inventory(
        version=documents.VERSION, environment=record.name, expires_at=record.expires_at, hosts=dict(hosts)
    )


def of(record: Record, keys: Callable[[str, Sequence[str]], Material] = home.draft) -> tuple[Topology, Material]:
    """The topology and the keys of an environment: by home.material, or by home.draft, which writes nothing."""
    bare = stacks.named(record.topology, stacks.Credentials(api_key="", api_secret=""))
    material = keys(record.name, [host.name for host in bare.hosts])
    stack = stacks.named(record.topology, material.credentials)
    return inits.with_init(stacks.with_resilience(stack, record.resilience), record.init), material
