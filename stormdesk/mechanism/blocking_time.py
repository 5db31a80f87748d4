"""Dropping packets to time servers: a table of our own in nft, else chains of our own in iptables and ip6tables. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from stormdesk.core.model import Argv, HostFacts
from stormdesk.core.plan import Step


@dataclass(frozen=True)
class Blocking:
    """The name of our table or chains says which run it is; iptables allows 28 characters."""

    run_id: str

    @property
    def name(self) -> str:
        return f"sd-{self.run_id}"


@dataclass(frozen=True)
class Nft:
    """A table of our own comes before all others, and is deleted as a whole."""

    name: ClassVar[str] = "nft"
    tools: ClassVar[Argv] = ("nft",)
    touches: ClassVar[Argv] = ("nft",)
    probes: ClassVar[Mapping[str, Argv]] = {"nft": ("sd_filter_able", "nft")}

    def able(self, intent: Blocking, facts: HostFacts) -> str:
        return _why_not(facts, self.name)

    def steps(self, intent: Blocking, facts: HostFacts) -> tuple[Step, ...]:
        at = f"inet {intent.name}"
        rules = (
            f"add table {at}",
            f"add chain {at} out {{ type filter hook output priority -300; }}",
            f"add rule {at} out udp dport 123 drop",
            f"add chain {at} in {{ type filter hook input priority -300; }}",
            f"add rule {at} in udp sport 123 drop",
        )
        return (Step(("nft", "; ".join(rules)), (("nft", "delete", "table", "inet", intent.name),)),)

    def shows(self, intent: Blocking) -> Argv:
        return ("nft", "list", "table", "inet", intent.name)


@dataclass(frozen=True)
class Iptables:
    """Chains of our own, and the rules that lead to them."""

    name: ClassVar[str] = "iptables"
    tools: ClassVar[Argv] = ("iptables", "ip6tables")
    touches: ClassVar[Argv] = ("iptables", "ip6tables", "nft")  # nft shows rules that iptables makes with it
    probes: ClassVar[Mapping[str, Argv]] = {"iptables": ("sd_filter_able", "iptables")}

    def able(self, intent: Blocking, facts: HostFacts) -> str:
        return _why_not(facts, self.name)

    def steps(self, intent: Blocking, facts: HostFacts) -> tuple[Step, ...]:
        return (Step(("sd_ntp_block", intent.name), (("sd_ntp_unblock", intent.name),)),)

    def shows(self, intent: Blocking) -> Argv:
        return ("iptables", "-w", "5", "-S", intent.name)


def _why_not(facts: HostFacts, name: str) -> str:
    """The host's error when it was tried, or "". Where it could not be tried it may still work: the inject will tell."""
    said = facts.answers[name].stdout.strip()
    return said.removeprefix("no: ") if said.startswith("no:") else ""


LADDER = (Nft(), Iptables())


def shows(intent: Blocking, mechanism: str) -> Argv:
    """The command that prints our rules."""
    return next(each.shows(intent) for each in LADDER if each.name == mechanism)
