"""A topology with all its texts rewritten: other subnets, names instead of addresses. Pure."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from stormdesk.core.errors import UsageError
from stormdesk.infra.topology import Topology

NET = 77  # as in infra/stacks.py: 10.77.0.0/24 and fd77::/64
NETS = tuple(n for n in range(10, 100) if n != 88)  # two digits, alike in IPv4 and IPv6; 88 is the net behind the store


def renumber(topology: Topology, net: int) -> Topology:
    """The same stack on 10.<net>.x.x and fd<net>:: instead of 10.77.x.x and fd77::, so that two fit on one engine."""
    if net not in NETS:
        raise UsageError(f"net {net}: must be {NETS[0]}..{NETS[-1]}, and not 88, which is the net behind the store")

    def change(text: str) -> str:
        return re.sub(rf"\bfd{NET}:", f"fd{net}:", re.sub(rf"\b10\.{NET}\.", f"10.{net}.", text))

    changed: Topology = rewritten(topology, change)
    return changed


def by_name(topology: Topology) -> Topology:
    """The same stack with `venue.market` in place of that host's IPv4 address in service configurations."""
    names = {
        place.address.partition("/")[0]: f"{host.name}.{place.network}"
        for host in topology.hosts
        for place in host.placements
    }
    anyone = re.compile(rf"(?<![\w.])(?:{'|'.join(re.escape(name) for name in names)})(?![\w.]|/\d)")
    services = rewritten(topology.services, lambda text: anyone.sub(lambda found: names[found[0]], text))
    return dataclasses.replace(topology, services=services)


def rewritten(value: Any, change: Callable[[str], str]) -> Any:
    """A value made of dataclasses, mappings, sequences and texts, with `change` applied to each text (not to keys)."""
    match value:
        case str():
            return type(value)(change(value))
        case Mapping():
            return {key: rewritten(item, change) for key, item in value.items()}
        case Sequence():
            return tuple(rewritten(item, change) for item in value)
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            fields = {f.name: rewritten(getattr(value, f.name), change) for f in dataclasses.fields(value)}
            return dataclasses.replace(value, **fields)
        case _:
            return value
