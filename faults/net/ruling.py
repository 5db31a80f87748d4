"""The plan of a fault that drops or rejects packets with netfilter rules. Not a fault itself."""

from __future__ import annotations

from typing import ClassVar, Protocol

from stormdesk.core.fault import Site, Unsupported
from stormdesk.core.model import Argv, HostFacts
from stormdesk.core.plan import Change, Control, PeerWitness, Plan, Proof, Timing, ttl
from stormdesk.mechanism.ladder import choose, tools
from stormdesk.mechanism.netfilter import Rules, Verdict, ladder, rules_name
from stormdesk.mechanism.traffic import Traffic

LOOK: Argv = ("sh", "-c", "nft list ruleset; iptables-save")  # shows our rules, whichever tool made them
UNDO = "removes our own netfilter table or chains"
MECHANISM = {"help": "nft or iptables; default: the first that the host has"}
MAY_USE: Argv = (*tools(ladder(Verdict())), "ip6tables", "unshare")


class Ruled(Protocol):
    """What the plan needs from the fault."""

    name: ClassVar[str]

    @property
    def mechanism(self) -> str: ...


def rules_plan(
    fault: Ruled,
    facts: HostFacts,
    site: Site,
    ttl_s: float | None,
    traffic: Traffic,
    verdict: Verdict,
    says: str,
    witness: tuple[PeerWitness | None, str] = (None, ""),
) -> Plan | Unsupported:
    """The plan. `says` is its text, without the traffic; `witness` is another host's, or why there is none."""
    rules = Rules(rules_name(site.run_id), traffic, verdict)
    way = choose(ladder(verdict), rules, facts, fault.mechanism)
    if isinstance(way, Unsupported):
        return way
    peer, no_peer = witness
    seen = way.mechanism.witness(rules)
    return Plan(
        id=site.id(fault.name),
        timing=Timing(site.hold_s, ttl(site.hold_s, ttl_s, cuts_control=False)),
        change=Change(
            mechanism=way.mechanism.name,
            rejected=way.rejected,
            says=f"{says} {traffic.says()}",
            reverts_what="our rules removed",
            steps=way.mechanism.steps(rules, facts),
            resources=(f"netfilter:{rules.name}",),
            touches=way.mechanism.touches,
        ),
        control=Control(no_peer=no_peer),
        proof=Proof(baseline=("sd_not", *seen), witness=seen, peers=(peer,) if peer else ()),
    )
