"""mtu-blackhole: large packets are dropped and small ones pass, as behind a tunnel whose ICMP errors a firewall drops."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from stormdesk.core.fault import Example, Site, Unsupported
from stormdesk.core.inventory import Inventory
from stormdesk.core.model import Argv, HostFacts
from stormdesk.core.packets import PacketSize
from stormdesk.core.plan import Plan
from stormdesk.faults.net.ruling import LOOK, MAY_USE, MECHANISM, UNDO, rules_plan
from stormdesk.faults.net.traffic import Selecting, ping_witness
from stormdesk.mechanism.interface import beside_control
from stormdesk.mechanism.ladder import probes
from stormdesk.mechanism.netfilter import Verdict, ladder
from stormdesk.witness.unreachable import ping


@dataclass(frozen=True)
class MtuBlackhole(Selecting):
    """Packets above a size are dropped silently; the undo removes our own table or chains."""

    name: ClassVar[str] = "mtu-blackhole"
    title: ClassVar[str] = "Drop large packets, let small ones pass"
    undo: ClassVar[str] = UNDO
    needs: ClassVar[Argv] = ("ip",)
    may_use: ClassVar[Argv] = MAY_USE
    may_cut_control: ClassVar[bool] = False

    size: PacketSize = field(
        default=PacketSize(PacketSize.EXAMPLE),
        metadata={
            "help": "the largest packet that passes, in bytes with its IP header, 68..9000",
            "grid": ("1400", "576"),
        },
    )
    mechanism: str = field(default="", metadata=MECHANISM)

    @classmethod
    def example(cls, inventory: Inventory) -> Sequence[Example]:
        return [
            Example(host, {"network": network}, LOOK, " drop| DROP") for host, network, _ in beside_control(inventory)
        ]

    def probes(self, site: Site) -> Mapping[str, Argv]:
        return {**self.traffic_probes(), **probes(ladder(self._verdict()))}

    def plan(self, facts: HostFacts, site: Site, ttl_s: float | None) -> Plan | Unsupported:
        traffic = self.traffic(self.name, facts, site)
        large = (*ping("1"), "-s", str(int(self.size) - 27))  # 28 bytes of headers: one byte too large
        witness = ping_witness(site, traffic, large, "unreachable")
        says = f"drop packets above {int(self.size)} bytes"
        return rules_plan(self, facts, site, ttl_s, traffic, self._verdict(), says, witness)

    def _verdict(self) -> Verdict:
        return Verdict(longer_than=int(self.size))
