"""net-loss: packets are lost, singly or in bursts, as on a bad link or a full queue."""

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
    """Packet loss. Where netfilter rules drop outgoing packets, the sender of a datagram gets EPERM, unlike with loss on the wire."""

    name: ClassVar[str] = "net-loss"
    title: ClassVar[str] = "Lose packets"

    percent: Percent = field(
        default=Percent(10), metadata={"help": "the share that is lost, 1..100", "grid": ("1", "10", "50")}
    )
    burst: Burst | None = field(
        default=None,
        metadata={"help": "the average number lost in a row, 2..1000; default: independent losses", "kind": Burst},
    )
    mechanism: str = field(default="", metadata=MECHANISM)

    def plan(self, facts: HostFacts, site: Site, ttl_s: float | None) -> Plan | Unsupported:
        percent, burst = float(self.percent), int(self.burst or 0)
        impairment = Impairment(loss=percent, burst=burst)
        says = f"lose {self.percent}% of packets" + (f" in bursts of {burst}" if burst else "")
        return self.impaired(
            facts, site, ttl_s, impairment, says, self.mechanism, None if burst else (flood(), "lost", percent)
        )
