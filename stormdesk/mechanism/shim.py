"""Packets impaired by a program of ours on the host: iptables sends them to an NFQUEUE, and it answers for each. Pure.

It composes with the qdiscs and with rules of others. One of them at a time can be on a host.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

from stormdesk.core.model import Argv, HostFacts
from stormdesk.core.plan import Step
from stormdesk.mechanism import traffic as packets
from stormdesk.mechanism.impairment import Impaired
from stormdesk.mechanism.ladder import why_not

QUEUE = "23808"  # 0x5d00, as our qdiscs
MARK = "0x5d000000"  # of the duplicates that it sends


@dataclass(frozen=True)
class Shim:
    """python3 on the host, its standard library alone. Where it ends, packets pass as before."""

    name: ClassVar[str] = "nfqueue"
    tools: ClassVar[Argv] = ("iptables", "iptables-restore", "python3")
    touches: ClassVar[Argv] = ("iptables", "ip6tables", "nft", "process")
    probes: ClassVar[Mapping[str, Argv]] = {
        "nfqueue": ("sd_net_able", "iptables", "-t", "mangle", "-A", "POSTROUTING", "-j", "NFQUEUE", "--queue-num", QUEUE, "--queue-bypass")
    }  # fmt: skip

    def able(self, intent: Impaired, facts: HostFacts) -> str:
        if intent.impairment.duplicate and "in" in intent.traffic.directions:
            return "it duplicates what is sent, not what is received"
        return why_not(facts, self.name)

    def steps(self, intent: Impaired, facts: HostFacts) -> tuple[Step, ...]:
        families = [family for family in intent.traffic.families if family == "4" or "ip6tables" in facts.tools]
        start = Step(("sd_shim", QUEUE, str(int(MARK, 16)), *intent.impairment.shim()), (("sd_shim_end",),))
        rules = (
            self._step(intent, family, direction) for family in families for direction in intent.traffic.directions
        )
        return (start, *rules)

    def witness(self, intent: Impaired) -> Argv:
        tool, table, _, chain = self._place(intent, intent.traffic.families[0], intent.traffic.directions[0])
        return ("sd_witness_chain", tool, table, chain)

    def resources(self, intent: Impaired) -> Argv:
        return (f"nfqueue:{QUEUE}",)

    def _step(self, intent: Impaired, family: str, direction: str) -> Step:
        place = self._place(intent, family, direction)
        return Step(("sd_chain", *place, *self._rules(intent, family, direction)), (("sd_chain_gone", *place),))

    def _rules(self, intent: Impaired, family: str, direction: str) -> Iterator[str]:
        for argv in packets.iptables_ssh(intent.traffic, direction, family):
            yield " ".join(argv)
        if intent.impairment.duplicate:
            yield f"-m mark --mark {MARK} -j RETURN"
        for match in packets.iptables(intent.traffic, direction, family):
            yield " ".join((*match, "-j", "NFQUEUE", "--queue-num", QUEUE, "--queue-bypass"))

    def _place(self, intent: Impaired, family: str, direction: str) -> Argv:
        hook = {"in": "PREROUTING", "out": "POSTROUTING"}[direction]
        return ("iptables" if family == "4" else "ip6tables", "mangle", hook, f"{intent.name}_{direction}")
