"""memory-stress: use up memory, as a leak in a neighbouring process would."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from stormdesk.core.errors import RefusedError, UsageError
from stormdesk.core.fault import Example, Site, Unsupported
from stormdesk.core.inventory import Inventory
from stormdesk.core.model import Argv, HostFacts
from stormdesk.core.plan import Change, Plan, Proof, Timing, ttl
from stormdesk.core.values import Size
from stormdesk.mechanism.ladder import choose, tools
from stormdesk.mechanism.stressing import HOLD, Holding, own_group

MIB = 1024 * 1024
SPARE_MIB = 64  # always left available, so that the OOM killer has no reason to act
INJECT_BUDGET_S = 25.0


@dataclass(frozen=True)
class MemoryStress:
    """Our own processes hold it; if memory runs out nevertheless, the OOM killer picks these first."""

    name: ClassVar[str] = "memory-stress"
    title: ClassVar[str] = "Use up memory"
    undo: ClassVar[str] = "ends our own processes, removes their control group"
    needs: ClassVar[Argv] = ("cat", "awk")
    may_use: ClassVar[Argv] = tools(HOLD)
    may_cut_control: ClassVar[bool] = False

    size: Size | None = field(
        default=None,
        metadata={"help": "hold this much, e.g. 512MiB", "kind": Size, "grid": ("64MiB", "512MiB", "2GiB")},
    )
    reserve: Size | None = field(
        default=None, metadata={"help": "leave this much available instead, e.g. 256MiB", "kind": Size}
    )
    mechanism: str = field(default="", metadata={"help": "stress-ng or dd; default: the first that the host has"})

    @classmethod
    def example(cls, inventory: Inventory) -> Sequence[Example]:
        look = ("sh", "-c", "cat /run/stormdesk/r-*/helper.stressor")
        return [Example(host, {"size": "48MiB"}, look, r"^[0-9]+\.[0-9]+$") for host in inventory.hosts]

    def probes(self, site: Site) -> Mapping[str, Argv]:
        if (self.size is None) == (self.reserve is None):
            raise UsageError("memory-stress needs --size or --reserve: how much to hold, or how much to leave")
        return {"memory": ("cat", "/proc/meminfo"), "group": ("sd_parent_group", "memory")}

    def plan(self, facts: HostFacts, site: Site, ttl_s: float | None) -> Plan | Unsupported:
        available = self._available(facts, site)
        mib = available - int(self.reserve) // MIB if self.reserve is not None else int(self.size or 0) // MIB
        if mib < 1:
            raise RefusedError(f"{site.host.name} has {available} MiB available: nothing to hold. Nothing was changed")
        if available - mib < SPARE_MIB:
            raise RefusedError(
                f"{site.host.name} has {available} MiB available: to hold {mib} MiB would leave less than {SPARE_MIB} MiB, "
                "and the OOM killer would act. Nothing was changed"
            )
        holding = Holding(mib)
        way = choose(HOLD, holding, facts, self.mechanism)
        if isinstance(way, Unsupported):
            return way
        group, where = own_group(facts.answers["group"].stdout.strip(), site.run_id)
        return Plan(
            id=site.id(self.name),
            timing=Timing(site.hold_s, ttl(site.hold_s, ttl_s, cuts_control=False), INJECT_BUDGET_S),
            change=Change(
                mechanism=way.mechanism.name,
                rejected=way.rejected,
                says=f"hold {mib} of {available} MiB of available memory with {way.mechanism.name}, {where}",
                reverts_what="our processes ended",
                steps=group + way.mechanism.steps(holding, facts),
                resources=("memory",),
                touches=way.mechanism.touches,
            ),
            proof=Proof(
                baseline=("sd_memory_free", str(mib), str(SPARE_MIB)),
                witness=("sd_witness_held", str(mib)),
                still=("sd_background_runs", "stressor"),
            ),
        )

    def _available(self, facts: HostFacts, site: Site) -> int:
        """MiB."""
        rows = (line.split() for line in facts.answers["memory"].stdout.splitlines())
        found = [int(row[1]) for row in rows if len(row) > 1 and row[0] == "MemAvailable:" and row[1].isdigit()]
        if not found:
            raise RefusedError(f"{site.host.name} does not report its available memory. Nothing was changed")
        return found[0] // 1024
