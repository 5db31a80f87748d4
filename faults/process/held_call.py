"""What a breakpoint on a system call does to its host: the plan of it. No entry of the catalogue: it is armed for another fault."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from stormdesk.core.fault import Example, Site, Unsupported
from stormdesk.core.inventory import Inventory
from stormdesk.core.model import Argv, HostFacts
from stormdesk.core.plan import Change, Plan, Proof, Timing, ttl
from stormdesk.host import targets
from stormdesk.mechanism.holding import LADDER, Call
from stormdesk.mechanism.ladder import choose, probes, tools


@dataclass(frozen=True)
class HeldCall:
    """The process of `service` is held right before the `nth` system call `call` of one of its threads."""

    name: ClassVar[str] = "breakpoint"
    title: ClassVar[str] = "Hold a service before a system call of its own"
    undo: ClassVar[str] = "strace lets go of the process, which is continued and runs on"
    needs: ClassVar[Argv] = ("setsid", "awk")
    may_use: ClassVar[Argv] = tools(LADDER)
    may_cut_control: ClassVar[bool] = False

    service: str
    call: str
    nth: int

    @classmethod
    def example(cls, inventory: Inventory) -> Sequence[Example]:  # noqa: ARG003
        """None: by itself it is no fault."""
        return []

    def probes(self, site: Site) -> Mapping[str, Argv]:
        manager = targets.named_manager(self.service, site)
        return {
            "processes": ("sd_processes", "service", self.service, manager),
            "call": ("sd_break_able", self.call),
            **probes(LADDER),
        }

    def plan(self, facts: HostFacts, site: Site, ttl_s: float | None) -> Plan | Unsupported:
        process = targets.one_process(facts.answers["processes"].stdout, "service", self.service, site)
        timing = Timing(site.hold_s, ttl(site.hold_s, ttl_s, cuts_control=False))
        call = Call(process.identity, self.call, self.nth, timing.ttl_s)
        way = choose(LADDER, call, facts)
        if isinstance(way, Unsupported):
            return way
        pid = process.identity.partition(".")[0]
        return Plan(
            id=site.id(self.name),
            timing=timing,
            change=Change(
                mechanism=way.mechanism.name,
                says=f"hold {self.service} (process {pid}) before {self.call} number {self.nth} of one of its threads",
                reverts_what="let go",
                steps=way.mechanism.steps(call, facts),
                resources=(f"breakpoint:{self.service}",),
                touches=way.mechanism.touches,
            ),
            # A fault may end the process while it is held: then it is held no more, as planned.
            proof=Proof(
                baseline=("sd_untraced", process.identity),
                witness=("sd_witness_break", process.identity),
                still=("true",),
            ),
        )
