"""process-kill: send a signal to a service or process, once or repeatedly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from stormdesk.core.errors import UsageError
from stormdesk.core.fault import Example, Site, Unsupported
from stormdesk.core.inventory import Inventory
from stormdesk.core.model import Argv, HostFacts
from stormdesk.core.plan import Change, Effects, Plan, Proof, Step
from stormdesk.core.values import Duration, Signal
from stormdesk.faults.process.targeting import Targeting
from stormdesk.host import probe, targets

DEFAULT_RTO_S = 30.0
ENDS = ("KILL", "TERM", "INT", "QUIT")  # signals that end our services


@dataclass(frozen=True)
class ProcessKill(Targeting):
    """The target is one process, identified by (pid, start time), never by name: by then a name could match another process."""

    name: ClassVar[str] = "process-kill"
    title: ClassVar[str] = "Kill, stop or signal a process"
    undo: ClassVar[str] = (
        "its manager or guard restarts it; SIGCONT after STOP; if we must start it, the run is violated"
    )
    needs: ClassVar[Argv] = ("stat", "tr")
    may_use: ClassVar[Argv] = ()
    may_cut_control: ClassVar[bool] = False
    irreversible: ClassVar[str] = "where no manager starts the process again, but not for STOP"

    signal: Signal = field(
        default=Signal("KILL"),
        metadata={"help": "KILL, TERM, INT, HUP, QUIT, STOP, USR1, USR2", "grid": ("TERM", "STOP", "KILL")},
    )
    repeat: Duration | None = field(
        default=None, metadata={"help": "repeat at this interval during the hold, e.g. 5s", "kind": Duration}
    )
    rto: Duration = field(
        default=Duration(DEFAULT_RTO_S),
        metadata={"help": "how long until its manager or guard has started it and trading is steady"},
    )

    @classmethod
    def example(cls, inventory: Inventory) -> Sequence[Example]:
        return [
            Example(host.name, {"service": name, "signal": "STOP"}, ("ps", "-o", "stat,args", "-ax"), rf"^T.*{name}")
            for host in inventory.hosts.values()
            for name, service in sorted(host.services.items())
            if service.manager
        ]

    def probes(self, site: Site) -> Mapping[str, Argv]:
        return {"processes": ("sd_processes", *self.words(site))}

    def plan(self, facts: HostFacts, site: Site, ttl_s: float | None) -> Plan | Unsupported:
        how, what = self.selector(site)
        process = targets.one_process(answer := facts.answers["processes"].stdout, how, what, site)
        target = process.identity
        managed = how == "service" and bool(site.host.services[what].manager)
        manager = probe.manager(answer) or self.manager(site)
        if self.repeat is not None and not managed:
            raise UsageError("--repeat needs --service with a manager: nothing else restarts the process")
        kills = 1
        steps = [Step(("sd_kill", str(self.signal), target), self._undo(what, target, manager if managed else ""))]
        if self.repeat is not None:
            every = str(max(1, round(float(self.repeat))))
            kills += int(site.hold_s / int(every))
            again = ("sd_kill_again", str(self.signal), what, every, manager)
            steps.append(Step(again, (("sd_background_end", "repeater"),)))
        return Plan(
            id=site.id(self.name),
            timing=targets.manager_timing(site.hold_s, ttl_s, float(self.rto), managed=managed),
            change=Change(
                mechanism="kill",
                says=f"kill -{self.signal} {target.split('.')[0]} ({process.command[:60].strip()})"
                + (f" every {self.repeat}" if self.repeat else ""),
                reverts_what=self._way_back(managed),
                steps=tuple(steps),
                resources=(f"process:{what}",),
                touches=("service", "process"),
                # Any other signal may kill it (HUP and USR1 do by default).
                irreversible=not managed and str(self.signal) != "STOP",
            ),
            proof=Proof(
                baseline=("sd_before_signal", str(self.signal), target),
                witness=("sd_witness_signal", str(self.signal), target),
                still=("sd_still_stopped", target) if str(self.signal) == "STOP" else ("true",),
            ),
            effects=Effects(
                # Whatever the signal: a guard may kill a process that hangs.
                restarts=((what, int(str(self.signal) in ENDS), kills),) if managed else (),
                rto_from="lift" if str(self.signal) == "STOP" else "inject",
            ),
        )

    def _undo(self, service: str, target: str, manager: str) -> tuple[Argv, ...]:
        undo: list[Argv] = [("sd_continue", target)] if str(self.signal) == "STOP" else []
        if manager:
            undo.append(("sd_service_back", service, str(round(float(self.rto))), manager))
        return tuple(undo)

    def _way_back(self, managed: bool) -> str:
        if str(self.signal) == "STOP":
            return "SIGCONT"
        return "its manager or guard restarts it" if managed else "none: no manager restarts it"
