"""What a runbook needs of the environment that it runs in. What its faults need of a kernel or a host is seen when they are planned. Pure.

needs:
  stack: full                 # all services of that stack
  services: [kafka, redis]
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stormdesk.core.inventory import Inventory

if TYPE_CHECKING:
    import yaml

    from stormdesk.core.reading import Reader

SERVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,62}")


@dataclass(frozen=True)
class Needs:
    """`services` are those that some host must have, those of the stack included."""

    stack: str = ""
    services: tuple[str, ...] = ()

    def lacking(self, inventory: Inventory) -> str:
        """What these hosts lack of it, in words; "" for nothing."""
        there = {name for host in inventory.hosts.values() for name in host.services}
        missing = [name for name in self.services if name not in there]
        if not missing:
            return ""
        wanted = (
            f"the stack {self.stack}"
            if self.stack
            else f"the service{'s' * (len(self.services) > 1)} {', '.join(self.services)}"
        )
        return f"it needs {wanted}, and {inventory.environment} has no {', '.join(missing)}"


def read(reader: Reader, node: yaml.Node | None, stacks: Mapping[str, Sequence[str]]) -> Needs:
    """The block `needs`; `stacks` are the services of each stack that may be named."""
    if node is None:
        return Needs()
    keys = reader.mapping(node, "needs", ("stack", "services"))
    stack = reader.text(keys["stack"], "needs.stack") if "stack" in keys else ""
    if stack and stack not in stacks:
        reader.fail(keys["stack"], "needs.stack", f"no stack '{stack}'. Known: {', '.join(stacks)}")
    services = []
    for number, entry in enumerate(reader.sequence(keys.get("services"), "needs.services")):
        name = reader.text(entry, f"needs.services[{number}]")
        if not SERVICE.fullmatch(name):
            reader.fail(entry, f"needs.services[{number}]", "must be the name of a service, e.g. kafka")
        services.append(name)
    return Needs(stack, tuple(dict.fromkeys([*stacks.get(stack, ()), *services])))
