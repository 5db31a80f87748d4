"""cpu-stress: keep CPUs busy, as a runaway thread or a noisy neighbour would."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from stormdesk.core.errors import RefusedError
from stormdesk.core.fault import Example, Site, Unsupported
from stormdesk.core.inventory import Inventory
from stormdesk.core.model import Argv, HostFacts
from stormdesk.core.plan import Change, Plan, Proof, Timing, ttl
from stormdesk.core.values import Count, Percent
from stormdesk.mechanism.ladder import choose, tools
from stormdesk.mechanism.stressing import BURN, Burning, own_group


@dataclass(frozen=True)
class CpuStress:
    """Our own processes at normal priority, one for each CPU; the watchdogs have a higher priority."""

    name: ClassVar[str] = "cpu-stress"
    title: ClassVar[str] = "Keep CPUs busy"
    undo: ClassVar[str] = "ends our own processes, removes their control group"
    needs: ClassVar[Argv] = ("grep", "awk")
    may_use: ClassVar[Argv] = tools(BURN)
    may_cut_control: ClassVar[bool] = False

    percent: Percent = field(
        default=Percent(100), metadata={"help": "the load on each CPU: 1..100", "grid": ("25", "50", "90", "100")}
    )
    cores: Count | None = field(
        default=None, metadata={"help": "how many CPUs; default: all", "kind": Count, "grid": ("1", "2")}
    )
    mechanism: str = field(default="", metadata={"help": "stress-ng or sh; default: the first that the host has"})

    @classmethod
    def example(cls, inventory: Inventory) -> Sequence[Example]:
        look = ("sh", "-c", "cat /run/stormdesk/r-*/helper.stressor")
        return [Example(host, {"percent": "20", "cores": "1"}, look, r"^[0-9]+\.[0-9]+$") for host in inventory.hosts]

    def probes(self, site: Site) -> Mapping[str, Argv]:
        return {"processors": ("grep", "-c", "^processor", "/proc/cpuinfo"), "group": ("sd_parent_group", "cpu")}

    def plan(self, facts: HostFacts, site: Site, ttl_s: float | None) -> Plan | Unsupported:
        has = int(facts.answers["processors"].stdout.strip() or "1")
        cores = has if self.cores is None else int(self.cores)
        if cores > has:
            raise RefusedError(f"--cores {cores}: {site.host.name} has {has} CPUs. Nothing was changed")
        percent = round(float(self.percent))
        burning = Burning(cores, percent)
        way = choose(BURN, burning, facts, self.mechanism)
        if isinstance(way, Unsupported):
            return way
        group, where = own_group(facts.answers["group"].stdout.strip(), site.run_id)
        return Plan(
            id=site.id(self.name),
            timing=Timing(site.hold_s, ttl(site.hold_s, ttl_s, cuts_control=False)),
            change=Change(
                mechanism=way.mechanism.name,
                rejected=way.rejected,
                says=f"keep {cores} of {has} CPUs {percent} % busy with {way.mechanism.name}, {where}",
                reverts_what="our processes ended",
                steps=group + way.mechanism.steps(burning, facts),
                resources=("cpu",),
                touches=way.mechanism.touches,
            ),
            proof=Proof(
                witness=("sd_witness_burns", str(cores), str(percent)),
                still=("sd_background_runs", "stressor"),
            ),
        )
