"""net-partition: packets between hosts are dropped, as by a dead switch or a wrong firewall rule; the adapter stays up."""

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
from stormdesk.faults.net.traffic import Selecting, ping_witness
from stormdesk.mechanism.interface import beside_control
from stormdesk.mechanism.ladder import probes
from stormdesk.mechanism.netfilter import Verdict, ladder
from stormdesk.witness.unreachable import ping


class Grudge(Word):
    """Which of the selected hosts cannot talk to which."""

    WORD = "GRUDGE"
    EXAMPLE = "halves"
    WORDS = ("one", "halves", "ring", "bridge")


@dataclass(frozen=True)
class NetPartition(Selecting):
    """Dropped packets; the undo removes our own table or chains."""

    name: ClassVar[str] = "net-partition"
    title: ClassVar[str] = "Cut a host off from others"
    undo: ClassVar[str] = UNDO
    needs: ClassVar[Argv] = ("ip",)
    may_use: ClassVar[Argv] = MAY_USE
    may_cut_control: ClassVar[bool] = False

    grudge: Grudge | None = field(
        default=None,
        metadata={
            "help": "among the selected hosts: one (the first alone), halves, ring (each reaches only its neighbours), bridge "
            "(halves, with one between them that reaches all)",
            "kind": Grudge,
        },
    )
    mechanism: str = field(default="", metadata=MECHANISM)

    @classmethod
    def example(cls, inventory: Inventory) -> Sequence[Example]:
        return [
            Example(host, {"network": network}, LOOK, " drop| DROP") for host, network, _ in beside_control(inventory)
        ]

    def probes(self, site: Site) -> Mapping[str, Argv]:
        return {**self.traffic_probes(), **probes(ladder(Verdict()))}

    def plan(self, facts: HostFacts, site: Site, ttl_s: float | None) -> Plan | Unsupported:
        traffic = self.traffic(self.name, facts, site, self._enemies(site))
        witness = ping_witness(site, traffic, ping("1"), "unreachable")
        return rules_plan(self, facts, site, ttl_s, traffic, Verdict(), "drop packets", witness)

    def _enemies(self, site: Site) -> Sequence[str]:
        """The hosts that this one cannot talk to, by --grudge. Hosts are sorted by name, so the same options give the same cut."""
        if self.grudge is None:
            return ()
        ring = sorted(site.chosen)
        if self.peer or len(ring) < 2 + (self.grudge in ("ring", "bridge")) * 2:
            least = 4 if self.grudge in ("ring", "bridge") else 2
            raise UsageError(f"--grudge {self.grudge} needs at least {least} selected hosts, and no --peer")
        return enemies(str(self.grudge), ring)[site.host.name]


def enemies(grudge: str, hosts: Sequence[str]) -> Mapping[str, Sequence[str]]:
    """For each host, the others that it cannot talk to. As in Jepsen: in a ring each host reaches a majority, and no two the same."""
    count, half = len(hosts), len(hosts) // 2
    if grudge == "ring":
        reach = (half + 1) // 2  # neighbours on each side; with the host itself they are a majority
        return {
            host: [other for j, other in enumerate(hosts) if min((i - j) % count, (j - i) % count) > reach]
            for i, host in enumerate(hosts)
        }
    sizes = {"one": (1, 1), "halves": (half, half), "bridge": (half, half + 1)}
    end, begin = sizes[grudge]
    left, right = hosts[:end], hosts[begin:]
    return {host: right if host in left else left if host in right else () for host in hosts}
