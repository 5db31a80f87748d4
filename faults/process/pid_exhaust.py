"""pid-exhaust: let a service start no more processes or threads, as a fork loop would."""

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
    """The limit of processes of its control group is lowered to what it has, else the soft limit of its user, in this process and its
    children alone: fork and new threads fail with EAGAIN. Nobody else on the host is short of pids."""

    name: ClassVar[str] = "pid-exhaust"
    title: ClassVar[str] = "Let a service start no process or thread"
    undo: ClassVar[str] = (
        "the limit of processes as it was; of a control group it is written by the shell itself, without a process"
    )
    needs: ClassVar[Argv] = ("stat", "tr")
    may_use: ClassVar[Argv] = tools(PIDS)
    may_cut_control: ClassVar[bool] = False

    spare: Spare = field(default=Spare(0), metadata={"help": "leave this many free, e.g. 2", "grid": ("16", "2", "0")})
    mechanism: str = field(
        default="", metadata={"help": "pids (its control group), prlimit or python3; default: the first that works"}
    )

    @classmethod
    def example(cls, inventory: Inventory) -> Sequence[Example]:
        # A group of its own has a service only where systemd made one; elsewhere it must not be root's.
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
                f"{self.spare} processes or threads more",
                reverts_what="the limit of processes as it was",
                steps=way.mechanism.steps(limiting, facts),
                resources=(f"process:{what}",),
                touches=way.mechanism.touches,
            ),
            proof=proof(limiting, way.mechanism.name),
            # A guard may end a process that cannot go on.
            effects=Effects(restarts=((what, 0, 1),) if self.manager(site) else ()),
        )
