"""process-crashloop: make a service's next starts fail, as a bad release or a broken configuration would."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from stormdesk.core.errors import RefusedError, UsageError
from stormdesk.core.fault import Example, Site, Unsupported
from stormdesk.core.inventory import Inventory
from stormdesk.core.model import Argv, HostFacts
from stormdesk.core.plan import Change, Effects, Plan, Proof, Step
from stormdesk.core.values import Count, Duration
from stormdesk.host import probe, targets
from stormdesk.mechanism.selecting import selector

DEFAULT_RTO_S = 30.0
INJECT_BUDGET_S = 25.0  # the witness waits until the manager has restarted it once


@dataclass(frozen=True)
class ProcessCrashloop:
    """Its process is killed, and so are the next ones as soon as its manager starts them. The manager may give up on it."""

    name: ClassVar[str] = "process-crashloop"
    title: ClassVar[str] = "Make a service's next starts fail"
    undo: ClassVar[str] = "stops the kills; its manager restarts it, and if we must start it, the run is violated"
    needs: ClassVar[Argv] = ("stat", "tr")
    may_use: ClassVar[Argv] = ()
    may_cut_control: ClassVar[bool] = False

    service: str = field(default="", metadata={"help": "a service of the host, e.g. trader"})
    starts: Count = field(
        default=Count(3), metadata={"help": "how many of its next starts fail", "grid": ("1", "3", "10")}
    )
    rto: Duration = field(
        default=Duration(DEFAULT_RTO_S),
        metadata={"help": "how long until its manager or guard has started it and trading is steady"},
    )

    @classmethod
    def example(cls, inventory: Inventory) -> Sequence[Example]:
        return [
            Example(
                host.name,
                {"service": name, "starts": "2"},
                ("sh", "-c", "cat /run/stormdesk/r-*/crashes"),
                r"^[0-9]+\.[0-9]+$",
            )
            for host in inventory.hosts.values()
            for name, service in sorted(host.services.items())
            if service.manager
        ]

    def probes(self, site: Site) -> Mapping[str, Argv]:
        if not self.service:
            known = ", ".join(sorted(site.host.services)) or "none in the inventory"
            raise UsageError(f"{self.name} needs --service. Services of {site.host.name}: {known}")
        how = selector(self.name, self.service, "", "", site)
        return {"processes": ("sd_processes", *how, targets.named_manager(self.service, site))}

    def plan(self, facts: HostFacts, site: Site, ttl_s: float | None) -> Plan | Unsupported:
        process = targets.one_process(answer := facts.answers["processes"].stdout, "service", self.service, site)
        manager = probe.manager(answer)
        if not manager:
            raise RefusedError(
                f"{self.service} on {site.host.name} has no manager that restarts it. Nothing was changed"
            )
        kills = int(self.starts) + 1
        timing = targets.manager_timing(
            site.hold_s, ttl_s, float(self.rto), managed=True, inject_budget_s=INJECT_BUDGET_S
        )
        back = ("sd_service_back", self.service, str(round(float(self.rto))), manager)
        return Plan(
            id=site.id(self.name),
            timing=timing,
            change=Change(
                mechanism="kill",
                says=f"kill {self.service}, pid {process.identity.split('.')[0]}, and its next {self.starts} starts",
                reverts_what="its manager or guard restarts it",
                steps=(Step(("sd_crashloop", self.service, manager, str(kills)), (("sd_crashloop_end",), back)),),
                resources=(f"process:{self.service}",),
                touches=("service", "process"),
            ),
            proof=Proof(
                baseline=("sd_before_signal", "KILL", process.identity),
                witness=("sd_witness_crashloop", self.service, process.identity),
                still=("sd_still_crashing", str(kills)),
            ),
            effects=Effects(restarts=((self.service, 1, kills),), rto_from="lift"),
        )
