"""service-stop: stop a service through its manager, as an operator's mistake or a failed upgrade would."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from stormdesk.core.errors import RefusedError, UsageError
from stormdesk.core.fault import Example, Site, Unsupported
from stormdesk.core.inventory import Inventory
from stormdesk.core.model import Argv, HostFacts
from stormdesk.core.plan import Change, Effects, Plan, Proof, Step, Timing, ttl
from stormdesk.host import probe, targets
from stormdesk.mechanism.selecting import selector

INJECT_BUDGET_S = 40.0  # a manager gives a service time to stop


@dataclass(frozen=True)
class ServiceStop:
    """Its manager does not restart it by itself; the undo does."""

    name: ClassVar[str] = "service-stop"
    title: ClassVar[str] = "Stop a service through its manager"
    undo: ClassVar[str] = "its manager starts it, unless somebody has started and stopped it since"
    needs: ClassVar[Argv] = ("stat", "tr")
    may_use: ClassVar[Argv] = ()
    may_cut_control: ClassVar[bool] = False

    service: str = field(default="", metadata={"help": "a service of the host, e.g. trader"})

    @classmethod
    def example(cls, inventory: Inventory) -> Sequence[Example]:
        looks = {"supervisor": ("supervisorctl", "status"), "systemd": ("systemctl", "is-active")}
        return [
            Example(
                host.name,
                {"service": name},
                (*looks[service.manager], name),
                rf"^(({name} +STOPPED)|(inactive|failed))",
            )
            for host in inventory.hosts.values()
            for name, service in sorted(host.services.items())
            if service.manager in looks
        ]

    def probes(self, site: Site) -> Mapping[str, Argv]:
        if not self.service:
            raise UsageError(f"{self.name} needs --service. Services of {site.host.name}: {self._known(site)}")
        how = selector(self.name, self.service, "", "", site)
        return {"processes": ("sd_processes", *how, targets.named_manager(self.service, site))}

    def plan(self, facts: HostFacts, site: Site, ttl_s: float | None) -> Plan | Unsupported:
        process = targets.one_process(answer := facts.answers["processes"].stdout, "service", self.service, site)
        manager = probe.manager(answer)
        if not manager:
            raise RefusedError(
                f"{self.service} on {site.host.name} has no manager to stop it with. Nothing was changed"
            )
        of = (self.service, manager)
        return Plan(
            id=site.id(self.name),
            timing=Timing(site.hold_s, ttl(site.hold_s, ttl_s, cuts_control=False), INJECT_BUDGET_S),
            change=Change(
                mechanism=manager,
                says=f"{manager} stops {self.service}, pid {process.identity.split('.')[0]}",
                reverts_what="started by its manager",
                steps=(Step(("sd_service_stop", *of), (("sd_service_start_again", *of),)),),
                resources=(f"process:{self.service}",),
                touches=("service", "process"),
            ),
            proof=Proof(
                baseline=("sd_service_running", *of),
                witness=("sd_witness_service_stopped", *of, process.identity),
                still=("sd_service_is_stopped", *of),
            ),
            effects=Effects(restarts=((self.service, 1, 1),)),
        )

    def _known(self, site: Site) -> str:
        return ", ".join(sorted(site.host.services)) or "none in the inventory"
