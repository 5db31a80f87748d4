"""clock-skew: set a service's clock ahead or back, make it drift, or jump back and forth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from stormdesk.core.errors import UsageError
from stormdesk.core.fault import Example, Site, Unsupported
from stormdesk.core.inventory import Inventory
from stormdesk.core.model import Argv, HostFacts
from stormdesk.core.offsets import Offset, Ppm
from stormdesk.core.plan import Change, Plan, Proof, Timing, ttl
from stormdesk.core.values import Duration
from stormdesk.faults.process.targeting import Targeting
from stormdesk.host import probe, targets
from stormdesk.mechanism.faking_time import LADDER, Skew
from stormdesk.mechanism.ladder import choose


@dataclass(frozen=True)
class ClockSkew(Targeting):
    """Only the wall clock of a service that runs with libfaketime: the host's clock and the service's monotonic clock are unaffected."""

    name: ClassVar[str] = "clock-skew"
    title: ClassVar[str] = "Skew a service's clock"
    undo: ClassVar[str] = "restores the offset in libfaketime's file"
    needs: ClassVar[Argv] = ("stat", "tr", "awk")
    may_use: ClassVar[Argv] = ()
    may_cut_control: ClassVar[bool] = False

    offset: Offset | None = field(
        default=None,
        metadata={"help": "ahead, or behind if negative, e.g. -5s", "kind": Offset, "grid": ("500ms", "5s", "1h")},
    )
    drift: Ppm | None = field(
        default=None,
        metadata={
            "help": "runs fast, or slow if negative, in ppm, e.g. 200",
            "kind": Ppm,
            "grid": ("50", "500", "50000"),
        },
    )
    strobe: Duration | None = field(
        default=None,
        metadata={"help": "with --offset: jump there and back at this interval, e.g. 1s", "kind": Duration},
    )
    mechanism: str = field(default="", metadata={"help": "faketime, the only one so far"})

    @classmethod
    def example(cls, inventory: Inventory) -> Sequence[Example]:  # noqa: ARG003
        return []  # an inventory does not say which services run with libfaketime

    def probes(self, site: Site) -> Mapping[str, Argv]:
        how = self.selector(site)
        if (self.offset is None) == (self.drift is None):
            raise UsageError("clock-skew needs --offset or --drift: how far it is ahead, or how fast it runs")
        if self.strobe is not None and self.offset is None:
            raise UsageError("--strobe needs --offset: how far it jumps")
        return {"processes": ("sd_target_clock", *how, self.manager(site))}

    def plan(self, facts: HostFacts, site: Site, ttl_s: float | None) -> Plan | Unsupported:
        how, what = self.selector(site)
        process = targets.one_process(answer := facts.answers["processes"].stdout, how, what, site)
        file, was, kind = (probe.remark(answer, word) for word in ("clock", "was", "type"))
        skew = Skew(
            process.identity, file, was, float(self.offset or 0), float(self.drift or 0), float(self.strobe or 0)
        )
        way = choose(LADDER, skew, facts, self.mechanism)
        if isinstance(way, Unsupported):
            return way
        return Plan(
            id=site.id(self.name),
            timing=Timing(site.hold_s, ttl(site.hold_s, ttl_s, cuts_control=False)),
            change=Change(
                mechanism=way.mechanism.name,
                rejected=way.rejected,
                says=f"the clock of {process.identity.split('.')[0]} ({process.command[:60].strip()}) {self._how()}, by {file}",
                reverts_what="clock restored",
                steps=way.mechanism.steps(skew, facts),
                resources=(f"clock:{file}",),
                touches=way.mechanism.touches,
                files=()
                if self.drift
                else (file,),  # the file changes all the time during a drift, so the verb's marker represents it
                persistent=kind != "tmpfs",
            ),
            proof=Proof(
                baseline=("sd_clock_says_not", file, skew.ours),
                witness=("sd_witness_clock", process.identity, file, skew.ours, *skew.between),
                still=self._still(file, skew),
            ),
        )

    def _still(self, file: str, skew: Skew) -> Argv:
        helper = "strobe" if self.strobe else "drift" if self.drift else ""
        return ("sd_background_runs", helper) if helper else ("sd_clock_says", file, skew.ours)

    def _how(self) -> str:
        if self.drift is not None:
            return f"drifts by {self.drift}"
        return f"jumps by {self.offset}" + (f" and back every {self.strobe}" if self.strobe else "")
