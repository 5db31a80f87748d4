"""DNS queries that go to a helper of ours on the host, or are dropped. Pure. The helper's own queries carry a mark, and pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from stormdesk.core.model import Argv, HostFacts
from stormdesk.core.plan import Step
from stormdesk.mechanism.ladder import why_not

PORT = "15353"
MARK = "0x5d000035"


@dataclass(frozen=True)
class Answer:
    """What queries get: NXDOMAIN, SERVFAIL, an address, or "no answer". Only for `names` and those below, if there are some;
    others are asked of the host's own `servers`. `name` is the run's (netfilter.rules_name)."""

    name: str
    what: str
    names: Argv
    servers: Argv

    @property
    def silent(self) -> bool:
        return self.what == "no answer"

    def helper(self) -> tuple[Step, ...]:
        """The step that starts the helper."""
        what = "SERVFAIL" if self.silent else self.what
        words = ("sd_dns_serve", PORT, str(int(MARK, 16)), what, ",".join(self.names), ",".join(self.servers))
        return (Step(words, (("sd_background_end", "resolver"),)),)


@dataclass(frozen=True)
class Nft:
    """A table of its own."""

    name: ClassVar[str] = "nft"
    tools: ClassVar[Argv] = ("nft",)
    touches: ClassVar[Argv] = ("nft", "process")
    probes: ClassVar[Mapping[str, Argv]] = {
        "nft": (
            "sd_net_able",
            "nft",
            "table inet t {\nchain c {\ntype nat hook output priority -105\nudp dport 53 redirect to :1\n}\n}",
        )
    }

    def able(self, intent: Answer, facts: HostFacts) -> str:
        return _names_with_timeout(intent) or why_not(facts, self.name)

    def steps(self, intent: Answer, facts: HostFacts) -> tuple[Step, ...]:
        undo = (("nft", "delete", "table", "inet", intent.name),)
        if intent.silent:
            table = "chain out {\ntype filter hook output priority -310\nmeta l4proto { tcp, udp } th dport 53 counter drop\n}"
            return (Step(("nft", f"table inet {intent.name} {{\n{table}\n}}"), undo),)
        rules = f"meta mark {MARK} accept\nudp dport 53 counter redirect to :{PORT}"
        table = f"chain out {{\ntype nat hook output priority -105\n{rules}\n}}"
        return (*intent.helper(), Step(("nft", f"table inet {intent.name} {{\n{table}\n}}"), undo))


@dataclass(frozen=True)
class Iptables:
    """A chain of its own."""

    name: ClassVar[str] = "iptables"
    tools: ClassVar[Argv] = ("iptables", "iptables-restore")
    touches: ClassVar[Argv] = ("iptables", "ip6tables", "nft", "process")
    probes: ClassVar[Mapping[str, Argv]] = {
        "iptables": ("sd_net_able", "iptables", "-t", "nat", "-A", "OUTPUT", "-p", "udp", "-j", "REDIRECT", "--to-ports", "1")
    }  # fmt: skip

    def able(self, intent: Answer, facts: HostFacts) -> str:
        return _names_with_timeout(intent) or why_not(facts, self.name)

    def steps(self, intent: Answer, facts: HostFacts) -> tuple[Step, ...]:
        families = {"6" if ":" in server else "4" for server in intent.servers}
        chain = f"{intent.name}_dns"
        rules: Sequence[str] = ("-p udp --dport 53 -j DROP", "-p tcp --dport 53 -j DROP")
        table = "mangle"
        if not intent.silent:
            table = "nat"
            rules = (f"-m mark --mark {MARK} -j RETURN", f"-p udp --dport 53 -j REDIRECT --to-ports {PORT}")
        steps = [
            Step(("sd_chain", *(place := (tool, table, "OUTPUT", chain)), *rules), (("sd_chain_gone", *place),))
            for family, tool in (("4", "iptables"), ("6", "ip6tables"))
            if family in families
        ]
        return (*(() if intent.silent else intent.helper()), *steps)


def _names_with_timeout(intent: Answer) -> str:
    return (
        "a query that gets no answer is dropped before its name is read: leave --names out"
        if intent.silent and intent.names
        else ""
    )


LADDER = (Nft(), Iptables())
