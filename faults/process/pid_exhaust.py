"""pid-exhaust: stop a service from starting processes or threads, as a fork loop would."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from stormdesk.core.fault import Example, Site, Unsupported
from stormdesk.core.inventory import Inventory
from stormdesk.core.model import Argv, HostFacts
from stormdesk.core.plan import Change, Effects, Plan, Timing, ttl
from stormdesk.core.values import Spare
from stormdesk.faults.process.targeting import Targeting
from stormdesk.host import probe, targets
from stormdesk.mechanism.ladder import choose, tools
from stormdesk.mechanism.limiting import PIDS, Limiting, proof


@dataclass(frozen=True)
class PidExhaust(Targeting):
    """Its cgroup's pids limit is lowered to the current number; without a cgroup, the soft limit RLIMIT_NPROC of this process and
    its children. fork and new threads fail with EAGAIN. No other process on the host is short of pids."""

    name: ClassVar[str] = "pid-exhaust"
    title: ClassVar[str] = "Stop a service from starting processes or threads"
    undo: ClassVar[str] = "restores the limit on processes; a cgroup's is written by the shell itself, without a fork"
    needs: ClassVar[Argv] = ("stat", "tr")
    may_use: ClassVar[Argv] = tools(PIDS)
    may_cut_control: ClassVar[bool] = False

    spare: Spare = field(default=Spare(0), metadata={"help": "leave this many free, e.g. 2", "grid": ("16", "2", "0")})
    mechanism: str = field(
        default="", metadata={"help": "pids (its cgroup), prlimit or python3; default: the first that works"}
    )

    @classmethod
    def example(cls, inventory: Inventory) -> Sequence[Example]:
        # A service has its own cgroup only under systemd; elsewhere its user must not be root, whom RLIMIT_NPROC does not bind.
        look = (
            "sh",
            "-c",
            "grep -H '^Max processes' /proc/[0-9]*/limits; grep -Hs '^[0-9]' /sys/fs/cgroup/*/*/pids.max",
        )
        return [
            Example(host.name, {"service": name}, look, r"Max processes +[0-9]{1,3} |pids.max:[0-9]{1,3}$")
            for host in inventory.hosts.values()
            for name, service in sorted(host.services.items())
            if service.manager and service.user != "root"
        ]

    def probes(self, site: Site) -> Mapping[str, Argv]:
        how = self.selector(site)
        return {"processes": ("sd_target_pids", *how, self.manager(site))}

    def plan(self, facts: HostFacts, site: Site, ttl_s: float | None) -> Plan | Unsupported:
        how, what = self.selector(site)
        process = targets.one_process(answer := facts.answers["processes"].stdout, how, what, site)
        soft, group, most = (probe.remark(answer, kind) for kind in ("limit", "group", "was"))
        limiting = Limiting(process.identity, process.uid, "nproc", int(self.spare), soft, group, most)
        way = choose(PIDS, limiting, facts, self.mechanism)
        if isinstance(way, Unsupported):
            return way
        return Plan(
            id=site.id(self.name),
            timing=Timing(site.hold_s, ttl(site.hold_s, ttl_s, cuts_control=False)),
            change=Change(
                mechanism=way.mechanism.name,
                rejected=way.rejected,
                says=f"{process.identity.split('.')[0]} ({process.command[:60].strip()}) and its children may start "
                f"{self.spare} more processes or threads",
                reverts_what="limit on processes restored",
                steps=way.mechanism.steps(limiting, facts),
                resources=(f"process:{what}",),
                touches=way.mechanism.touches,
            ),
            proof=proof(limiting, way.mechanism.name),
            # A guard may kill a process that makes no progress.
            effects=Effects(restarts=((what, 0, 1),) if self.manager(site) else ()),
        )
