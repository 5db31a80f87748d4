"""net-corrupt: a bit in a packet flips, as with bad memory in a switch; checksums catch most of them, so it looks like loss."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from stormdesk.core.fault import Site, Unsupported
from stormdesk.core.model import HostFacts
from stormdesk.core.plan import Plan
from stormdesk.core.values import Percent
from stormdesk.faults.net.impairing import MECHANISM, Impairing
from stormdesk.mechanism.impairment import Impairment
from stormdesk.witness.damaged import counted


@dataclass(frozen=True)
class NetCorrupt(Impairing):
    """One flipped bit in a share of the packets."""

    name: ClassVar[str] = "net-corrupt"
    title: ClassVar[str] = "Flip bits in packets"

    percent: Percent = field(
        default=Percent(10), metadata={"help": "the share with a flipped bit, 1..100", "grid": ("1", "10", "50")}
    )
    mechanism: str = field(default="", metadata=MECHANISM)

    def plan(self, facts: HostFacts, site: Site, ttl_s: float | None) -> Plan | Unsupported:
        percent = float(self.percent)
        says = f"flip a bit in {self.percent}% of packets"
        return self.impaired(
            facts, site, ttl_s, Impairment(corrupt=percent), says, self.mechanism, (counted(), "damaged", percent)
        )
