"""fd-exhaust: leave a service or process no free descriptor, as a leak of files or connections would."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from stormdesk.core.errors import RefusedError
from stormdesk.core.fault import Example, Site, Unsupported
from stormdesk.core.inventory import Inventory
from stormdesk.core.model import Argv, HostFacts
from stormdesk.core.plan import Change, Effects, Plan, Timing, ttl
from stormdesk.core.values import Spare
from stormdesk.faults.process.targeting import Targeting
from stormdesk.host import probe, targets
from stormdesk.mechanism.ladder import choose, tools
from stormdesk.mechanism.limiting import FILES, Limiting, proof


@dataclass(frozen=True)
class FdExhaust(Targeting):
    """The soft limit of open files is lowered to the first free number, of the process and its children: what is open stays open, and
    open, accept and socket fail with EMFILE. Children that start meanwhile inherit it, and get the old one back too."""

    name: ClassVar[str] = "fd-exhaust"
    title: ClassVar[str] = "Leave a process no free descriptor"
    undo: ClassVar[str] = "the soft limit of open files as it was, of each process"
    needs: ClassVar[Argv] = ("stat", "tr")
    may_use: ClassVar[Argv] = tools(FILES)
    may_cut_control: ClassVar[bool] = False

    spare: Spare = field(
        default=Spare(0), metadata={"help": "leave this many descriptors free, e.g. 2", "grid": ("16", "2", "0")}
    )
    mechanism: str = field(default="", metadata={"help": "prlimit or python3; default: the first that the host has"})

    @classmethod
    def example(cls, inventory: Inventory) -> Sequence[Example]:
        look = ("sh", "-c", "grep -H '^Max open files' /proc/[0-9]*/limits")
        return [
            Example(host.name, {"service": name}, look, r"Max open files +[0-9]{1,2} ")
            for host in inventory.hosts.values()
            for name, service in sorted(host.services.items())
            if service.manager
        ]

    def probes(self, site: Site) -> Mapping[str, Argv]:
        how = self.selector(site)
        return {"processes": ("sd_target_limit", "nofile", *how, self.manager(site))}

    def plan(self, facts: HostFacts, site: Site, ttl_s: float | None) -> Plan | Unsupported:
        how, what = self.selector(site)
        process = targets.one_process(answer := facts.answers["processes"].stdout, how, what, site)
        soft = probe.remark(answer, "limit")
        if not soft:
            raise RefusedError(f"{process.identity} on {site.host.name} has ended. Nothing was changed")
        limiting = Limiting(process.identity, process.uid, "nofile", int(self.spare), soft)
        way = choose(FILES, limiting, facts, self.mechanism)
        if isinstance(way, Unsupported):
            return way
        return Plan(
            id=site.id(self.name),
            timing=Timing(site.hold_s, ttl(site.hold_s, ttl_s, cuts_control=False)),
            change=Change(
                mechanism=way.mechanism.name,
                rejected=way.rejected,
                says=f"{process.identity.split('.')[0]} ({process.command[:60].strip()}) and its children may open "
                f"{self.spare} files more, of {soft}",
                reverts_what="the limit of open files as it was",
                steps=way.mechanism.steps(limiting, facts),
                resources=(f"process:{what}",),
                touches=way.mechanism.touches,
            ),
            proof=proof(limiting, way.mechanism.name),
            # A guard may end a process that cannot go on.
            effects=Effects(restarts=((what, 0, 1),) if self.manager(site) else ()),
        )
