"""net-reset: TCP connections are reset, including established ones, as by a load balancer or firewall that lost its state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from stormdesk.core.errors import UsageError
from stormdesk.core.fault import Example, Site, Unsupported
from stormdesk.core.inventory import Inventory
from stormdesk.core.model import Argv, HostFacts
from stormdesk.core.plan import Plan
from stormdesk.core.values import Percent
from stormdesk.faults.net.ruling import LOOK, MAY_USE, MECHANISM, UNDO, rules_plan
from stormdesk.faults.net.traffic import Selecting
from stormdesk.mechanism.interface import beside_control
from stormdesk.mechanism.ladder import probes
from stormdesk.mechanism.netfilter import RESET, Verdict, ladder


@dataclass(frozen=True)
class NetReset(Selecting):
    """Each packet of a selected connection is answered with an RST, so an established one ends with its next packet."""

    name: ClassVar[str] = "net-reset"
    title: ClassVar[str] = "Reset TCP connections, including established ones"
    undo: ClassVar[str] = UNDO
    needs: ClassVar[Argv] = ("ip",)
    may_use: ClassVar[Argv] = MAY_USE
    may_cut_control: ClassVar[bool] = False

    percent: Percent = field(
        default=Percent(100),
        metadata={"help": "the share of packets answered with a reset, 1..100", "grid": ("1", "10", "100")},
    )
    mechanism: str = field(default="", metadata=MECHANISM)

    @classmethod
    def example(cls, inventory: Inventory) -> Sequence[Example]:
        return [
            Example(host, {"network": network}, LOOK, " reject | REJECT ")
            for host, network, _ in beside_control(inventory)
        ]

    def probes(self, site: Site) -> Mapping[str, Argv]:
        return {**self.traffic_probes(), **probes(ladder(self._verdict()))}

    def plan(self, facts: HostFacts, site: Site, ttl_s: float | None) -> Plan | Unsupported:
        if self.protocol not in (None, "tcp"):
            raise UsageError(f"--protocol {self.protocol}: only TCP has resets")
        traffic = self.traffic(self.name, facts, site, protocol="tcp")
        share = "" if float(self.percent) == 100 else f"{self.percent}% of "
        return rules_plan(self, facts, site, ttl_s, traffic, self._verdict(), f"answer {share}packets with a reset")

    def _verdict(self) -> Verdict:
        return Verdict(RESET, percent=float(self.percent))
