"""fd-exhaust: leave a service or process no free file descriptor, as a leak of files or connections would."""

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
    """The soft limit on open files of the process and its children is lowered to the first free descriptor: open files stay open,
    but open, accept and socket fail with EMFILE. Children started meanwhile inherit it, and the undo raises theirs too."""

    name: ClassVar[str] = "fd-exhaust"
    title: ClassVar[str] = "Exhaust a process's file descriptors"
    undo: ClassVar[str] = "restores each process's soft limit on open files"
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
                f"{self.spare} more files, of {soft}",
                reverts_what="limit on open files restored",
                steps=way.mechanism.steps(limiting, facts),
                resources=(f"process:{what}",),
                touches=way.mechanism.touches,
            ),
            proof=proof(limiting, way.mechanism.name),
            # A guard may kill a process that makes no progress.
            effects=Effects(restarts=((what, 0, 1),) if self.manager(site) else ()),
        )
