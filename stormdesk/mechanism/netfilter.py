"""Rules of netfilter that drop or reject packets, in a table or chain of the run's own. Pure.

nft adds and removes its table by one command each, so that there is never half of it; iptables gets a chain of its own, added at
once by iptables-restore. Nothing of others is read, moved or removed, and runs lift in any order.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from stormdesk.core.model import Argv, HostFacts
from stormdesk.core.plan import Step
from stormdesk.mechanism import traffic as packets
from stormdesk.mechanism.ladder import why_not
from stormdesk.mechanism.traffic import Traffic

DROP, REJECT, RESET = "drop", "reject", "reset"
_PARTS = 100_000  # in which nft counts a share


@dataclass(frozen=True)
class Verdict:
    """What happens to a packet: it is dropped, rejected with an ICMP error, or its connection reset. `percent` of them, picked at
    random; only those longer than `longer_than` bytes."""

    kind: str = DROP
    percent: float = 100.0
    longer_than: int = 0

    def nft(self) -> str:
        length = f"meta length > {self.longer_than} " if self.longer_than else ""
        share = f"numgen random mod {_PARTS} < {round(self.percent * _PARTS / 100)} " if self.percent < 100 else ""
        end = {DROP: "drop", REJECT: "reject with icmpx type admin-prohibited", RESET: "reject with tcp reset"}
        return f"{length}{share}counter {end[self.kind]}"

    def iptables(self, family: str) -> Argv:
        length = ("-m", "length", "--length", f"{self.longer_than + 1}:65535") if self.longer_than else ()
        share = ("-m", "statistic", "--mode", "random", "--probability", f"{self.percent / 100:.5f}")
        error = "icmp-admin-prohibited" if family == "4" else "icmp6-adm-prohibited"
        reject = ("-j", "REJECT", "--reject-with")
        end = {DROP: ("-j", "DROP"), REJECT: (*reject, error), RESET: (*reject, "tcp-reset")}
        return (*length, *(share if self.percent < 100 else ()), *end[self.kind])


@dataclass(frozen=True)
class Rules:
    """The verdict on some packets; `name` is the run's, unique on the host: letters, digits, `_`, at most 24."""

    name: str
    traffic: Traffic
    verdict: Verdict


def rules_name(run_id: str) -> str:
    """The name of a run's table and chains."""
    return f"sd_{run_id.removeprefix('r-').replace('-', '_')}"


@dataclass(frozen=True)
class Nft:
    """A table of its own, with a chain for each direction."""

    verdict: Verdict
    name: ClassVar[str] = "nft"
    tools: ClassVar[Argv] = ("nft",)
    touches: ClassVar[Argv] = ("nft",)

    @property
    def probes(self) -> Mapping[str, Argv]:
        proto = "tcp dport 1 " if self.verdict.kind == RESET else ""
        rule = f"{proto}{self.verdict.nft()}"
        table = f"table inet t {{\nchain c {{\ntype filter hook input priority 0\n{rule}\n}}\n}}"
        return {"nft": ("sd_net_able", "nft", table)}

    def able(self, intent: Rules, facts: HostFacts) -> str:
        return why_not(facts, self.name)

    def steps(self, intent: Rules, facts: HostFacts) -> tuple[Step, ...]:
        chains = "\n".join(self._chain(intent, direction) for direction in intent.traffic.directions)
        return (
            Step(
                ("nft", f"table inet {intent.name} {{\n{chains}\n}}"),
                (("nft", "delete", "table", "inet", intent.name),),
            ),
        )

    def witness(self, intent: Rules) -> Argv:
        return ("sd_witness_nft", intent.name)

    def _chain(self, intent: Rules, direction: str) -> str:
        # What is rejected must be so before it is routed on; what is dropped may be forwarded, to containers, too.
        hooks = {"in": ("prerouting", "-310"), "out": ("postrouting", "310")}
        if intent.verdict.kind != DROP:
            hooks = {"in": ("input", "-10"), "out": ("output", "-10")}
        hook, priority = hooks[direction]
        matches = (f"{match}{intent.verdict.nft()}" for match in packets.nft(intent.traffic, direction))
        resets = ["tcp flags & rst == rst accept"] if intent.verdict.kind == RESET else []  # ours come by here, too
        rules = [*packets.nft_ssh(intent.traffic, direction), *resets, *matches]
        body = "\n".join(rules)
        return f"chain {direction} {{\ntype filter hook {hook} priority {priority}\n{body}\n}}"


@dataclass(frozen=True)
class Iptables:
    """A chain of its own for each direction and family, at the head of a chain of the kernel's."""

    verdict: Verdict
    name: ClassVar[str] = "iptables"
    touches: ClassVar[Argv] = ("iptables", "ip6tables", "nft")  # nft lists the rules that iptables-nft makes

    @property
    def tools(self) -> Argv:
        return ("iptables", "iptables-restore")

    @property
    def probes(self) -> Mapping[str, Argv]:
        proto = ("-p", "tcp") if self.verdict.kind == RESET else ()
        return {"iptables": ("sd_net_able", "iptables", "-A", "INPUT", *proto, *self.verdict.iptables("4"))}

    def able(self, intent: Rules, facts: HostFacts) -> str:
        if "6" in intent.traffic.families and intent.traffic.addresses and "ip6tables" not in facts.tools:
            return "the host has no ip6tables"
        return why_not(facts, self.name)

    def steps(self, intent: Rules, facts: HostFacts) -> tuple[Step, ...]:
        resets = ("-p tcp --tcp-flags RST RST -j RETURN",)  # ours come by here, too
        first = resets if intent.verdict.kind == RESET else ()
        return chains(intent.name, intent.traffic, self._table(intent), facts, intent.verdict.iptables, first)

    def witness(self, intent: Rules) -> Argv:
        return chain_witness(intent.name, intent.traffic, self._table(intent))

    def _table(self, intent: Rules) -> str:
        return "mangle" if intent.verdict.kind == DROP else "filter"


def chains(
    name: str, traffic: Traffic, table: str, facts: HostFacts, end: Callable[[str], Argv], first: Argv = ()
) -> tuple[Step, ...]:
    """A chain of the run's own for each family and direction. `end` gives the words of a family that follow those which match;
    `first` are rules that come before all but that of our own connection."""
    families = [family for family in traffic.families if family == "4" or "ip6tables" in facts.tools]
    steps = []
    for family, direction in itertools.product(families, traffic.directions):
        place = _place(name, table, family, direction)
        rules = [
            *(" ".join(argv) for argv in packets.iptables_ssh(traffic, direction, family)),
            *first,
            *(" ".join((*match, *end(family))) for match in packets.iptables(traffic, direction, family)),
        ]
        steps.append(Step(("sd_chain", *place, *rules), (("sd_chain_gone", *place),)))
    return tuple(steps)


def chain_witness(name: str, traffic: Traffic, table: str) -> Argv:
    """The command that sees the first of these chains."""
    tool, _, _, chain = _place(name, table, traffic.families[0], traffic.directions[0])
    return ("sd_witness_chain", tool, table, chain)


def _place(name: str, table: str, family: str, direction: str) -> Argv:
    """Tool, table, the kernel's chain, ours."""
    hooks = {"mangle": {"in": "PREROUTING", "out": "POSTROUTING"}, "filter": {"in": "INPUT", "out": "OUTPUT"}}
    tool = "iptables" if family == "4" else "ip6tables"
    return (tool, table, hooks[table][direction], f"{name}_{direction}")


def ladder(verdict: Verdict) -> Sequence[Nft | Iptables]:
    """The ways to this verdict, the best first."""
    return (Nft(verdict), Iptables(verdict))
