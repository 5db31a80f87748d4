"""disk-slow: reads, writes, syncs or opens of a service take long, as on a disk that is overloaded or about to die."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from stormdesk.core.errors import UsageError
from stormdesk.core.fault import Example, Site, Unsupported
from stormdesk.core.inventory import Inventory
from stormdesk.core.model import Argv, HostFacts
from stormdesk.core.plan import Change, Plan, Proof, Timing, ttl
from stormdesk.core.safety import check_path
from stormdesk.core.values import Count, Duration
from stormdesk.core.words import Calls
from stormdesk.host import probe, targets
from stormdesk.mechanism import tracing
from stormdesk.mechanism.ladder import choose, probes, tools
from stormdesk.mechanism.selecting import selector

LADDER = (tracing.Strace(),)


@dataclass(frozen=True)
class DiskSlow:
    """Each call of one kind is held back. Reads, writes and opens of one file only: else the service's sockets would be slow, too."""

    name: ClassVar[str] = "disk-slow"
    title: ClassVar[str] = "Let reads, writes, syncs or opens of a service take long"
    undo: ClassVar[str] = "strace lets go of the process, which runs on"
    needs: ClassVar[Argv] = ("setsid", "awk")
    may_use: ClassVar[Argv] = tools(LADDER)
    may_cut_control: ClassVar[bool] = False

    service: str = field(default="", metadata={"help": "a service of the host, e.g. trader"})
    pidfile: str = field(default="", metadata={"help": "a file that holds the pid"})
    pattern: str = field(
        default="", metadata={"help": "plain text in the command line; must select exactly one process"}
    )
    calls: Calls = field(default=Calls("sync"), metadata={"help": "what is slow: read, write, sync or open"})
    delay: Duration = field(
        default=Duration(0.1),
        metadata={"help": "how long each is held back, e.g. 100ms", "grid": ("10ms", "100ms", "1s")},
    )
    every: Count = field(default=Count(1), metadata={"help": "every n-th of them is slow", "grid": ("100", "10", "1")})
    path: str = field(default="", metadata={"help": "of this file only; required unless it is syncs that are slow"})

    @classmethod
    def example(cls, inventory: Inventory) -> Sequence[Example]:
        return [
            Example(host.name, {"service": name, "delay": "10ms"}, ("ps", "-o", "args", "-ax"), "^strace ")
            for host in inventory.hosts.values()
            for name, service in sorted(host.services.items())
            if service.manager
        ]

    def probes(self, site: Site) -> Mapping[str, Argv]:
        self._check()
        return {"processes": ("sd_processes", *self._selector(site), self._manager(site)), **probes(LADDER)}

    def plan(self, facts: HostFacts, site: Site, ttl_s: float | None) -> Plan | Unsupported:
        how, what = self._selector(site)
        process = targets.one_process(answer := facts.answers["processes"].stdout, how, what, site)
        slow = tracing.Change(
            identity=process.identity,
            service=what if how == "service" else "",
            manager=probe.manager(answer) or self._manager(site),
            calls=(str(self.calls),),
            answer=f"delay_enter={round(float(self.delay) * 1e6)}",
            every=int(self.every),
            paths=(self.path,) if self.path else (),
        )
        way = choose(LADDER, slow, facts)
        if isinstance(way, Unsupported):
            return way
        pid = process.identity.partition(".")[0]
        often = "each" if self.every == 1 else f"every {int(self.every)}th"
        return Plan(
            id=site.id(self.name),
            timing=Timing(site.hold_s, ttl(site.hold_s, ttl_s, cuts_control=False)),
            change=Change(
                mechanism=way.mechanism.name,
                says=f"{often} {self.calls} of process {pid} ({process.command[:60].strip()}) "
                + (f"on {self.path} " if self.path else "")
                + f"takes {self.delay} longer",
                reverts_what="strace detached",
                steps=way.mechanism.steps(slow, facts),
                resources=(f"process:{what}",),
                touches=way.mechanism.touches,
            ),
            proof=Proof(
                baseline=("sd_untraced", process.identity),
                witness=("sd_witness_trace", process.identity),
                still=("sd_still_traced",),
            ),
        )

    def _check(self) -> None:
        """Raise UsageError for calls that need a path."""
        if self.path:
            check_path("--path", self.path)
        elif self.calls != "sync":
            raise UsageError(f"--path is required for --calls {self.calls}: the file whose calls are slow")

    def _manager(self, site: Site) -> str:
        """The manager of the service that the inventory names, or ""."""
        return site.host.services[self.service].manager if self.service else ""

    def _selector(self, site: Site) -> tuple[str, str]:
        return selector(self.name, self.service, self.pidfile, self.pattern, site)
