"""process-pause: pause a service or process with its children, as a debugger, a long garbage collection or a hung disk would."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from stormdesk.core.errors import UsageError
from stormdesk.core.fault import Example, Site, Unsupported
from stormdesk.core.inventory import Inventory
from stormdesk.core.model import Argv, HostFacts
from stormdesk.core.plan import Change, Effects, Plan, Proof, Step
from stormdesk.core.values import Duration
from stormdesk.faults.process.targeting import Targeting
from stormdesk.host import probe, targets
from stormdesk.mechanism.ladder import choose
from stormdesk.mechanism.pausing import LADDER, Pausing

DEFAULT_RTO_S = 30.0


@dataclass(frozen=True)
class ProcessPause(Targeting):
    """Its connections stay open but nothing answers. Stopped processes are identified by (pid, start time), and only they are continued."""

    name: ClassVar[str] = "process-pause"
    title: ClassVar[str] = "Pause a process with its children"
    undo: ClassVar[str] = "sends SIGCONT to exactly the processes that were stopped, or thaws their cgroup"
    needs: ClassVar[Argv] = ("stat", "tr")
    may_use: ClassVar[Argv] = ()
    may_cut_control: ClassVar[bool] = False

    stop_for: Duration | None = field(
        default=None,
        metadata={
            "help": "pause this long, let it run for --run-for, and so on during the hold, e.g. 500ms",
            "kind": Duration,
            "grid": ("100ms", "500ms", "2s"),
        },
    )
    run_for: Duration | None = field(
        default=None, metadata={"help": "how long it runs between two pauses; with --stop-for", "kind": Duration}
    )
    rto: Duration = field(
        default=Duration(DEFAULT_RTO_S),
        metadata={"help": "how long until its manager or guard has started it, if it ends, and trading is steady"},
    )
    mechanism: str = field(default="", metadata={"help": "stop or freezer; default: the first that works"})

    @classmethod
    def example(cls, inventory: Inventory) -> Sequence[Example]:
        return [
            Example(host.name, {"service": name}, ("ps", "-o", "stat,args", "-ax"), rf"^T.*{name}")
            for host in inventory.hosts.values()
            for name, service in sorted(host.services.items())
            if service.manager
        ]

    def probes(self, site: Site) -> Mapping[str, Argv]:
        how = self.selector(site)
        if bool(self.stop_for) != bool(self.run_for):
            raise UsageError("--stop-for and --run-for go together: how long it is paused, and how long it runs")
        verb = ("sd_target_group", "freezer", "cgroup.procs") if self.mechanism == "freezer" else ("sd_processes",)
        return {"processes": (*verb, *how, self.manager(site))}

    def plan(self, facts: HostFacts, site: Site, ttl_s: float | None) -> Plan | Unsupported:
        how, what = self.selector(site)
        process = targets.one_process(answer := facts.answers["processes"].stdout, how, what, site)
        pausing = Pausing(
            process.identity, probe.remark(answer, "group"), float(self.stop_for or 0.0), float(self.run_for or 0.0)
        )
        way = choose(LADDER, pausing, facts, self.mechanism)
        if isinstance(way, Unsupported):
            return way
        manager = self.manager(site)
        steps = way.mechanism.steps(pausing, facts)
        if manager:
            back = ("sd_service_back", what, str(round(float(self.rto))), probe.manager(answer) or manager)
            steps = (Step(steps[0].do, (*steps[0].undo, back)), *steps[1:])
        return Plan(
            id=site.id(self.name),
            timing=targets.manager_timing(site.hold_s, ttl_s, float(self.rto), managed=bool(manager)),
            change=Change(
                mechanism=way.mechanism.name,
                rejected=way.rejected,
                says=f"pause {process.identity.split('.')[0]} ({process.command[:60].strip()}) and its children"
                + (f", {self.stop_for} of every {self._period()}" if self.stop_for else ""),
                reverts_what="continued",
                steps=steps,
                resources=(f"process:{what}",),
                touches=way.mechanism.touches,
            ),
            proof=self._proof(pausing, way.mechanism.name),
            # A guard may kill a process that hangs.
            effects=Effects(restarts=((what, 0, 1),) if manager else ()),
        )

    def _period(self) -> Duration:
        return Duration(float(self.stop_for or 0.0) + float(self.run_for or 0.0))

    def _proof(self, pausing: Pausing, mechanism: str) -> Proof:
        if mechanism == "freezer":
            file, frozen, _ = pausing.freezer
            witness = ("sd_file_is", file, frozen)
            return Proof(baseline=("sd_file_is_not", file, frozen), witness=witness, still=(*witness, "0"))
        still = ("sd_background_runs", "pauser") if self.stop_for else ("sd_is_paused", pausing.identity)
        return Proof(
            baseline=("sd_before_signal", "STOP", pausing.identity),
            witness=("sd_witness_paused", pausing.identity),
            still=still,
        )
