"""net-loss: packets get lost, one by one or in bursts, as on a bad line or a full queue."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from stormdesk.core.fault import Site, Unsupported
from stormdesk.core.model import HostFacts
from stormdesk.core.packets import Burst
from stormdesk.core.plan import Plan
from stormdesk.core.values import Percent
from stormdesk.faults.net.impairing import MECHANISM, Impairing
from stormdesk.mechanism.impairment import Impairment
from stormdesk.witness.lost import flood


@dataclass(frozen=True)
class NetLoss(Impairing):
    """Loss. Where rules drop what is sent, a program that sends a datagram is told (EPERM); on the wire nobody is."""

    name: ClassVar[str] = "net-loss"
    title: ClassVar[str] = "Lose packets"

    percent: Percent = field(
        default=Percent(10), metadata={"help": "the share that is lost, 1..100", "grid": ("1", "10", "50")}
    )
    burst: Burst | None = field(
        default=None,
        metadata={"help": "how many are lost in a row on average, 2..1000; default: each by itself", "kind": Burst},
    )
    mechanism: str = field(default="", metadata=MECHANISM)

    def plan(self, facts: HostFacts, site: Site, ttl_s: float | None) -> Plan | Unsupported:
        percent, burst = float(self.percent), int(self.burst or 0)
        impairment = Impairment(loss=percent, burst=burst)
        says = f"lose {self.percent}% of packets" + (f" in bursts of {burst}" if burst else "")
        return self.impaired(
            facts, site, ttl_s, impairment, says, self.mechanism, None if burst else (flood(), "lost", percent)
        )
