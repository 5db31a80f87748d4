"""net-duplicate: packets arrive twice, as with a loop in a network or a retransmitting link."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from stormdesk.core.fault import Site, Unsupported
from stormdesk.core.model import HostFacts
from stormdesk.core.plan import Plan
from stormdesk.core.values import Percent
from stormdesk.faults.net.impairing import MECHANISM, Impairing
from stormdesk.mechanism.impairment import Impairment
from stormdesk.witness.lost import flood


@dataclass(frozen=True)
class NetDuplicate(Impairing):
    """Duplicates of outgoing packets."""

    name: ClassVar[str] = "net-duplicate"
    title: ClassVar[str] = "Duplicate packets"

    percent: Percent = field(
        default=Percent(10), metadata={"help": "the share that is sent twice, 1..100", "grid": ("1", "10", "100")}
    )
    mechanism: str = field(default="", metadata=MECHANISM)

    def plan(self, facts: HostFacts, site: Site, ttl_s: float | None) -> Plan | Unsupported:
        percent = float(self.percent)
        says = f"send {self.percent}% of packets twice"
        return self.impaired(
            facts, site, ttl_s, Impairment(duplicate=percent), says, self.mechanism, (flood(), "seen-twice", percent)
        )
