"""The plan of a fault that changes the results of one process's system calls. Not a fault itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from stormdesk.core.errors import UsageError
from stormdesk.core.fault import Example, Site, Unsupported
from stormdesk.core.inventory import Inventory
from stormdesk.core.model import Argv, HostFacts
from stormdesk.core.plan import Change, Plan, Proof, Timing, ttl
from stormdesk.core.safety import check_path
from stormdesk.core.words import Calls
from stormdesk.faults.process.targeting import Targeting
from stormdesk.host import probe, targets
from stormdesk.mechanism import tracing
from stormdesk.mechanism.ladder import choose, probes, tools

LADDER = (tracing.Strace(),)


@dataclass(frozen=True)
class Traced(Targeting):
    """A process to attach strace to. `EXAMPLE` are the example's parameters besides the service."""

    undo: ClassVar[str] = "strace detaches; the process keeps running"
    needs: ClassVar[Argv] = ("setsid", "awk")
    may_use: ClassVar[Argv] = tools(LADDER)
    may_cut_control: ClassVar[bool] = False
    EXAMPLE: ClassVar[Mapping[str, str]] = {}

    @classmethod
    def example(cls, inventory: Inventory) -> Sequence[Example]:
        return [
            Example(host.name, {"service": name, **cls.EXAMPLE}, ("ps", "-o", "args", "-ax"), "^strace ")
            for host in inventory.hosts.values()
            for name, service in sorted(host.services.items())
            if service.manager
        ]

    def traced_probes(self, site: Site) -> Mapping[str, Argv]:
        """The probes that `traced` needs."""
        return {"processes": ("sd_processes", *self.words(site)), **probes(LADDER)}

    def traced(
        self, facts: HostFacts, site: Site, ttl_s: float | None, answer: tracing.Answer, says: str
    ) -> Plan | Unsupported:
        """The plan. `says` is its text, with `{}` for the process."""
        how, what = self.selector(site)
        process = targets.one_process(text := facts.answers["processes"].stdout, how, what, site)
        service = what if how == "service" else ""
        change = tracing.Change(process.identity, service, probe.manager(text) or self.manager(site), answer)
        way = choose(LADDER, change, facts)
        if isinstance(way, Unsupported):
            return way
        pid = process.identity.partition(".")[0]
        return Plan(
            id=site.id(self.name),
            timing=Timing(site.hold_s, ttl(site.hold_s, ttl_s, cuts_control=False)),
            change=Change(
                mechanism=way.mechanism.name,
                says=says.replace("{}", f"process {pid} ({process.command[:60].strip()})"),
                reverts_what="strace detached",
                steps=way.mechanism.steps(change, facts),
                resources=(f"process:{what}",),
                touches=way.mechanism.touches,
            ),
            proof=Proof(
                baseline=("sd_untraced", process.identity),
                witness=("sd_witness_trace", process.identity),
                still=("sd_still_traced",),
            ),
        )


def check_calls(calls: Calls, path: str, what: str) -> None:
    """UsageError if the calls need a path (described by `what`) and it is missing or not allowed."""
    if path:
        check_path("--path", path)
    elif calls != "sync":
        raise UsageError(f"--path is required for --calls {calls}: {what}")


def of_file(calls: Calls, every: int, path: str) -> tuple[str, tuple[str, ...]]:
    """(the calls as text, with `{}` for the process; the paths that they apply to)."""
    often = "each" if every == 1 else f"every {every}th"
    return f"{often} {calls} of {{}}" + (f" on {path}" if path else ""), (path,) if path else ()
