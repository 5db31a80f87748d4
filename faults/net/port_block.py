"""port-block: a port is blocked, as by a forgotten firewall rule: its packets are dropped or rejected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from stormdesk.core.errors import UsageError
from stormdesk.core.fault import Example, Site, Unsupported
from stormdesk.core.inventory import Inventory
from stormdesk.core.model import Argv, HostFacts
from stormdesk.core.plan import Plan
from stormdesk.core.words import Word
from stormdesk.faults.net.ruling import LOOK, MAY_USE, MECHANISM, UNDO, rules_plan
from stormdesk.faults.net.traffic import Selecting
from stormdesk.mechanism.ladder import probes
from stormdesk.mechanism.netfilter import DROP, REJECT, RESET, Verdict, ladder


class How(Word):
    """What the peer receives: nothing, an ICMP error, or a TCP reset."""

    WORD = "HOW"
    EXAMPLE = "drop"
    WORDS = (DROP, REJECT, RESET)


@dataclass(frozen=True)
class PortBlock(Selecting):
    """Rules on a port; the undo removes our own table or chains."""

    name: ClassVar[str] = "port-block"
    title: ClassVar[str] = "Block a port"
    undo: ClassVar[str] = UNDO
    needs: ClassVar[Argv] = ("ip",)
    may_use: ClassVar[Argv] = MAY_USE
    may_cut_control: ClassVar[bool] = False

    how: How = field(
        default=How(DROP),
        metadata={"help": "drop, reject (an ICMP error) or reset (TCP)", "grid": (REJECT, RESET, DROP)},
    )
    mechanism: str = field(default="", metadata=MECHANISM)

    @classmethod
    def example(cls, inventory: Inventory) -> Sequence[Example]:
        return [
            Example(host.name, {"port": str(port)}, LOOK, " drop| DROP")
            for host in inventory.hosts.values()
            for service in host.services.values()
            for port in service.ports.values()
        ]

    def probes(self, site: Site) -> Mapping[str, Argv]:
        return {**self.traffic_probes(), **probes(ladder(self._verdict()))}

    def plan(self, facts: HostFacts, site: Site, ttl_s: float | None) -> Plan | Unsupported:
        if not self.port:
            ports = sorted({str(port) for service in site.host.services.values() for port in service.ports.values()})
            raise UsageError(
                f"--port is required. Ports of {site.host.name}: {', '.join(ports) or 'none in the inventory'}"
            )
        if self.how == RESET and self.protocol == "udp":
            raise UsageError("--how reset and --protocol udp: only TCP has resets")
        traffic = self.traffic(self.name, facts, site, protocol="tcp" if self.how == RESET else "")
        return rules_plan(self, facts, site, ttl_s, traffic, self._verdict(), f"{self.how} packets")

    def _verdict(self) -> Verdict:
        return Verdict(str(self.how))
