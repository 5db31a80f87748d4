"""Packets impaired by a program of ours on the host: iptables sends them to an NFQUEUE, and it answers for each. Pure.

It composes with the qdiscs and with rules of others. One of them at a time can be on a host.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from stormdesk.core.model import Argv, HostFacts
from stormdesk.core.plan import Step
from stormdesk.mechanism.impairment import Impaired
from stormdesk.mechanism.ladder import why_not
from stormdesk.mechanism.netfilter import chain_witness, chains

QUEUE = "23808"  # 0x5d00, as our qdiscs
MARK = "0x5d000000"  # of the duplicates that it sends
_TO_QUEUE = ("-j", "NFQUEUE", "--queue-num", QUEUE, "--queue-bypass")


@dataclass(frozen=True)
class Shim:
    """python3 on the host, its standard library alone. Where it ends, packets pass as before."""

    name: ClassVar[str] = "nfqueue"
    tools: ClassVar[Argv] = ("iptables", "iptables-restore", "python3")
    touches: ClassVar[Argv] = ("iptables", "ip6tables", "nft", "process")
    probes: ClassVar[Mapping[str, Argv]] = {
        "nfqueue": ("sd_net_able", "iptables", "-t", "mangle", "-A", "POSTROUTING", *_TO_QUEUE)
    }

    def able(self, intent: Impaired, facts: HostFacts) -> str:
        if intent.impairment.duplicate and "in" in intent.traffic.directions:
            return "it duplicates what is sent, not what is received"
        return why_not(facts, self.name)

    def steps(self, intent: Impaired, facts: HostFacts) -> tuple[Step, ...]:
        start = Step(("sd_shim", QUEUE, str(int(MARK, 16)), *intent.impairment.shim()), (("sd_shim_end",),))
        first = (f"-m mark --mark {MARK} -j RETURN",) if intent.impairment.duplicate else ()
        return (start, *chains(intent.name, intent.traffic, "mangle", facts, lambda _: _TO_QUEUE, first))

    def witness(self, intent: Impaired) -> Argv:
        return chain_witness(intent.name, intent.traffic, "mangle")

    def resources(self, intent: Impaired) -> Argv:
        return (f"nfqueue:{QUEUE}",)
