"""net-reorder: packets arrive out of order, as over paths of different length."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from stormdesk.core.fault import Site, Unsupported
from stormdesk.core.model import HostFacts
from stormdesk.core.packets import Delay
from stormdesk.core.plan import Plan
from stormdesk.core.values import Percent
from stormdesk.faults.net.impairing import MECHANISM, Impairing
from stormdesk.mechanism.impairment import Impairment
from stormdesk.witness.out_of_order import counted


@dataclass(frozen=True)
class NetReorder(Impairing):
    """All packets are delayed except for a share, which overtakes them."""

    name: ClassVar[str] = "net-reorder"
    title: ClassVar[str] = "Reorder packets"

    percent: Percent = field(
        default=Percent(25), metadata={"help": "the share that overtakes, 1..99", "grid": ("1", "10", "25")}
    )
    delay: Delay = field(
        default=Delay("50ms"), metadata={"help": "the delay of all other packets", "grid": ("10ms", "50ms")}
    )
    mechanism: str = field(default="", metadata=MECHANISM)

    def plan(self, facts: HostFacts, site: Site, ttl_s: float | None) -> Plan | Unsupported:
        impairment = Impairment(delay_s=float(self.delay), reorder=float(self.percent))
        says = f"let {self.percent}% of packets overtake the others, which are delayed by {self.delay}"
        return self.impaired(
            facts, site, ttl_s, impairment, says, self.mechanism, (counted(), "out-of-order", float(self.percent))
        )
