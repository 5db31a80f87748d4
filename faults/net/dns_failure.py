"""dns-failure: name resolution fails or returns a wrong address, as with a broken resolver or a bad zone."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from stormdesk.core.errors import UsageError
from stormdesk.core.fault import Example, Site, Unsupported
from stormdesk.core.inventory import Inventory
from stormdesk.core.model import Argv, HostFacts
from stormdesk.core.packets import network_of
from stormdesk.core.plan import Change, Plan, Proof, Timing, ttl
from stormdesk.core.values import shown
from stormdesk.core.words import Word
from stormdesk.faults.net.ruling import LOOK
from stormdesk.mechanism.ladder import choose, probes, tools
from stormdesk.mechanism.netfilter import rules_name
from stormdesk.mechanism.resolving import LADDER, Answer

NAME = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,62})(\.[A-Za-z0-9_-]{1,63})*"
PROBE = "stormdesk-probe.invalid"  # when all names get the same answer, any name will do
NOT_ROUTED = "192.0.2.1"
LOCAL = "127.0.0.1"  # the resolver's default when /etc/resolv.conf names no server


class Failure(Word):
    """The answer to a query."""

    WORD = "ANSWER"
    EXAMPLE = "nxdomain"
    WORDS = ("nxdomain", "servfail", "timeout", "wrong")


@dataclass(frozen=True)
class DnsFailure:
    """Our helper answers UDP queries, or they are dropped. Names that an application or a local cache has already resolved stay
    resolved."""

    name: ClassVar[str] = "dns-failure"
    title: ClassVar[str] = "Make name resolution fail, or return a wrong address"
    undo: ClassVar[str] = "removes our own rules and helper"
    needs: ClassVar[Argv] = ("python3", "sed")
    may_use: ClassVar[Argv] = (*tools(LADDER), "ip6tables", "unshare")
    may_cut_control: ClassVar[bool] = False

    answer: Failure = field(
        default=Failure("nxdomain"),
        metadata={
            "help": "nxdomain, servfail, timeout, or wrong (--address)",
            "grid": ("wrong", "nxdomain", "servfail", "timeout"),
        },
    )
    names: str = field(
        default="", metadata={"help": "only these names and their subdomains, e.g. venue.example,db; default: all"}
    )
    address: str = field(
        default="", metadata={"help": f"with --answer wrong: that address; default: {NOT_ROUTED}, which is not routed"}
    )
    mechanism: str = field(default="", metadata={"help": "nft or iptables; default: the first that the host has"})

    @classmethod
    def example(cls, inventory: Inventory) -> Sequence[Example]:
        return [Example(host, {"answer": "servfail"}, LOOK, "redirect to|REDIRECT") for host in inventory.hosts]

    def probes(self, site: Site) -> Mapping[str, Argv]:
        return {"servers": ("sd_name_servers",), **probes(LADDER)}

    def plan(self, facts: HostFacts, site: Site, ttl_s: float | None) -> Plan | Unsupported:
        names = self._names()
        servers = [line for line in facts.answers["servers"].stdout.split() if network_of(line)] or [LOCAL]
        what = {"nxdomain": "NXDOMAIN", "servfail": "SERVFAIL", "timeout": "no answer"}.get(
            str(self.answer), self.address or NOT_ROUTED
        )
        intent = Answer(rules_name(site.run_id), what, names, tuple(servers))
        way = choose(LADDER, intent, facts, self.mechanism)
        if isinstance(way, Unsupported):
            return way
        asked = names[0] if names else PROBE if self.answer == "wrong" else "."
        witness = ("sd_dns_answers", what, asked, ",".join(servers))
        return Plan(
            id=site.id(self.name),
            timing=Timing(site.hold_s, ttl(site.hold_s, ttl_s, cuts_control=False)),
            change=Change(
                mechanism=way.mechanism.name,
                rejected=way.rejected,
                says=f"{', '.join(names) or 'all names'}: {what}",
                reverts_what="our rules and helper removed",
                steps=way.mechanism.steps(intent, facts),
                resources=("dns",),
                touches=way.mechanism.touches,
            ),
            proof=Proof(baseline=("sd_dns_answers_else", *witness[1:]), witness=witness),
        )

    def _names(self) -> tuple[str, ...]:
        names = tuple(part.lower() for part in self.names.replace(" ", "").split(",") if part)
        for each in names:
            if len(each) > 200 or not re.fullmatch(NAME, each):
                raise UsageError(f"--names {shown(each)}: must be comma-separated names such as venue.example")
        if self.address and self.answer != "wrong":
            raise UsageError(f"--address: is for --answer wrong, not {self.answer}")
        if self.address and not re.fullmatch(r"[0-9.]+", network_of(self.address)):
            raise UsageError(f"--address {shown(self.address)}: must be an IPv4 address, e.g. 192.0.2.1")
        return names
