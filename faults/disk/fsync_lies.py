"""fsync-lies: fsync and fdatasync of a service answer that all is on disk, and nothing is: a disk with a volatile cache that lies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from stormdesk.core.fault import Example, Site, Unsupported
from stormdesk.core.inventory import Inventory
from stormdesk.core.model import Argv, HostFacts
from stormdesk.core.plan import Change, Plan, Proof, Timing, ttl
from stormdesk.host import probe, targets
from stormdesk.mechanism import tracing
from stormdesk.mechanism.ladder import choose, probes, tools
from stormdesk.mechanism.selecting import selector

LADDER = (tracing.Strace(),)


@dataclass(frozen=True)
class FsyncLies:
    """No sync of the process is carried out, and each says that it was: the data reach the disk later, unless the power fails."""

    name: ClassVar[str] = "fsync-lies"
    title: ClassVar[str] = "Let fsync of a service lie"
    undo: ClassVar[str] = "strace lets go of the process, which runs on"
    needs: ClassVar[Argv] = ("setsid", "awk")
    may_use: ClassVar[Argv] = tools(LADDER)
    may_cut_control: ClassVar[bool] = False

    service: str = field(default="", metadata={"help": "a service of the host, e.g. trader"})
    pidfile: str = field(default="", metadata={"help": "a file that holds the pid"})
    pattern: str = field(
        default="", metadata={"help": "plain text in the command line; must select exactly one process"}
    )

    @classmethod
    def example(cls, inventory: Inventory) -> Sequence[Example]:
        return [
            Example(host.name, {"service": name}, ("ps", "-o", "args", "-ax"), "^strace ")
            for host in inventory.hosts.values()
            for name, service in sorted(host.services.items())
            if service.manager
        ]

    def probes(self, site: Site) -> Mapping[str, Argv]:
        return {"processes": ("sd_processes", *self._selector(site), self._manager(site)), **probes(LADDER)}

    def plan(self, facts: HostFacts, site: Site, ttl_s: float | None) -> Plan | Unsupported:
        how, what = self._selector(site)
        process = targets.one_process(answer := facts.answers["processes"].stdout, how, what, site)
        service = what if how == "service" else ""
        manager = probe.manager(answer) or self._manager(site)
        lie = tracing.Change(process.identity, service, manager, ("sync",), "retval=0")
        way = choose(LADDER, lie, facts)
        if isinstance(way, Unsupported):
            return way
        pid = process.identity.partition(".")[0]
        return Plan(
            id=site.id(self.name),
            timing=Timing(site.hold_s, ttl(site.hold_s, ttl_s, cuts_control=False)),
            change=Change(
                mechanism=way.mechanism.name,
                says=f"fsync and fdatasync of process {pid} ({process.command[:60].strip()}) do nothing and say that they did",
                reverts_what="strace detached",
                steps=way.mechanism.steps(lie, facts),
                resources=(f"process:{what}",),
                touches=way.mechanism.touches,
            ),
            proof=Proof(
                baseline=("sd_untraced", process.identity),
                witness=("sd_witness_trace", process.identity),
                still=("sd_still_traced",),
            ),
        )

    def _manager(self, site: Site) -> str:
        """The manager of the service that the inventory names, or ""."""
        return site.host.services[self.service].manager if self.service else ""

    def _selector(self, site: Site) -> tuple[str, str]:
        return selector(self.name, self.service, self.pidfile, self.pattern, site)
