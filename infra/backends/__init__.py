"""The backends, in an explicit registry. Each is a module that implements `Backend`."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, cast

from stormdesk.core.errors import UsageError

if TYPE_CHECKING:
    from stormdesk.core.inventory import Inventory, InventoryHost
    from stormdesk.infra.home import Material, Record
    from stormdesk.infra.status import HostStatus
    from stormdesk.infra.topology import Topology

MODULES: Mapping[str, str] = {
    "lab": "stormdesk.infra.backends.lab.backend",
    "docker": "stormdesk.infra.backends.docker.backend",
    "swarm": "stormdesk.infra.backends.docker.backend",
}


class Backend(Protocol):
    """The functions that an environment calls on its backend."""

    def prepare(self, record: Record, topology: Topology, say: Callable[[str], None]) -> Sequence[str]: ...
    def declare(self, record: Record, topology: Topology, material: Material) -> Mapping[str, InventoryHost]: ...
    def running(self, name: str) -> bool: ...
    def wait(self, record: Record, topology: Topology, inventory: Inventory, say: Callable[[str], None]) -> None: ...
    def remove(self, name: str, wait_s: float) -> bool: ...
    def status(self, inventory: Inventory) -> Sequence[HostStatus]: ...


def named(name: str) -> Backend:
    """The backend with that name; UsageError lists the known ones."""
    if name not in MODULES:
        raise UsageError(f"no backend '{name}'. There is: {', '.join(MODULES)}.")
    return cast(Backend, importlib.import_module(MODULES[name]))


def of(record: Record | None) -> Backend:
    """The backend of an environment; a lab that lost its record is still a lab."""
    return named(record.backend if record else "lab")
