"""host-freeze: freeze a host, as a hypervisor does during a snapshot or when it is overcommitted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from stormdesk.core.errors import RefusedError
from stormdesk.core.fault import Example, Site, Unsupported
from stormdesk.core.inventory import Inventory
from stormdesk.core.model import Argv, HostFacts
from stormdesk.core.plan import Change, Effects, Plan, Proof, Step, Timing, ttl

INJECT_BUDGET_S = 25.0


@dataclass(frozen=True)
class HostFreeze:
    """SIGSTOP to every process that may be stopped: only the kernel and SSH still answer. Processes are known by (pid, start time)."""

    name: ClassVar[str] = "host-freeze"
    title: ClassVar[str] = "Freeze a host"
    undo: ClassVar[str] = "sends SIGCONT to exactly the processes that were stopped"
    needs: ClassVar[Argv] = ("ls", "sed", "awk", "readlink")
    may_use: ClassVar[Argv] = ()
    may_cut_control: ClassVar[bool] = False

    @classmethod
    def example(cls, inventory: Inventory) -> Sequence[Example]:
        return [
            Example(host.name, {}, ("ps", "-o", "stat,args", "-ax"), r"^T")
            for host in inventory.hosts.values()
            if host.services
        ]

    def probes(self, site: Site) -> Mapping[str, Argv]:
        return {"processes": ("sd_freezable",)}

    def plan(self, facts: HostFacts, site: Site, ttl_s: float | None) -> Plan | Unsupported:
        count = len(facts.answers["processes"].stdout.split())
        if not count:
            raise RefusedError(f"{site.host.name} runs no process that may be stopped. Nothing was changed")
        services = [(name, 0, 1) for name, service in sorted(site.host.services.items()) if service.manager]
        return Plan(
            id=site.id(self.name),
            timing=Timing(site.hold_s, ttl(site.hold_s, ttl_s, cuts_control=False), INJECT_BUDGET_S),
            change=Change(
                mechanism="stop",
                says="stop all processes but the first, SSH servers, managers, log-in services, our session and Stormdesk",
                reverts_what="continued",
                steps=(Step(("sd_freeze_host",), (("sd_thaw_host",),)),),
                resources=("host", *(f"process:{name}" for name in sorted(site.host.services))),
                touches=("service", "process"),
            ),
            proof=Proof(
                baseline=("sd_can_freeze",),
                witness=("sd_witness_frozen",),
                still=("sd_still_frozen",),
            ),
            # A guard that is not stopped itself may kill a process that hangs.
            effects=Effects(restarts=tuple(services)),
        )
