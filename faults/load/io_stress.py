"""io-stress: keep a disk busy with writes, as a backup or a RAID rebuild would."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from stormdesk.core.errors import RefusedError
from stormdesk.core.fault import Example, Site, Unsupported
from stormdesk.core.inventory import Inventory
from stormdesk.core.model import Argv, HostFacts
from stormdesk.core.plan import Change, Plan, Proof, Timing, ttl
from stormdesk.core.values import Count
from stormdesk.host import probe, volumes
from stormdesk.mechanism import data_folder
from stormdesk.mechanism.ladder import choose, tools
from stormdesk.mechanism.stressing import WRITE, Writing, own_group

EACH_MIB = 8  # written between two syncs
SPARE_MIB = 16
INJECT_BUDGET_S = 25.0


@dataclass(frozen=True)
class IoStress:
    """Each process rewrites one file in a loop and syncs it each time, as a journal does."""

    name: ClassVar[str] = "io-stress"
    title: ClassVar[str] = "Keep a disk busy with writes"
    undo: ClassVar[str] = "ends our own processes, removes the folder with their files and their control group"
    needs: ClassVar[Argv] = ("df", "stat")
    may_use: ClassVar[Argv] = tools(WRITE)
    may_cut_control: ClassVar[bool] = False

    path: str = field(default="", metadata={"help": "a folder on the file system; default: the host's data folder"})
    workers: Count = field(
        default=Count(2), metadata={"help": "how many processes write at the same time", "grid": ("1", "2", "8")}
    )
    mechanism: str = field(default="", metadata={"help": "stress-ng or dd; default: the first that the host has"})

    @classmethod
    def example(cls, inventory: Inventory) -> Sequence[Example]:
        return [
            Example(host.name, {"workers": "1"}, ("ls", "-A", host.paths["data"]), r"\.stormdesk-.*-io")
            for host in inventory.hosts.values()
            if "data" in host.paths
        ]

    def probes(self, site: Site) -> Mapping[str, Argv]:
        path = data_folder.chosen(self.path, site)
        return {
            **data_folder.probes(path),
            "inodes": ("df", "-Pi", path),
            **volumes.probes(path),
            "group": ("sd_parent_group", "blkio"),
        }

    def plan(self, facts: HostFacts, site: Site, ttl_s: float | None) -> Plan | Unsupported:
        path = data_folder.chosen(self.path, site)
        data_folder.check_there(path, facts, site)
        if why := volumes.unwritable(facts.answers, path):
            raise RefusedError(f"--path {path} on {site.host.name}: {why}. Nothing was changed")
        space = probe.space(facts.answers["df"].stdout, "")
        if space.free_kib < 1024 * (int(self.workers) * EACH_MIB + SPARE_MIB):
            raise RefusedError(
                f"--path {path}: {site.host.name} has {space.free_kib // 1024} MiB free there, and {self.workers} processes "
                f"need {int(self.workers) * EACH_MIB} MiB with {SPARE_MIB} MiB to spare. Nothing was changed"
            )
        writing = Writing(f"{path}/.stormdesk-{site.run_id}-io", int(self.workers), EACH_MIB)
        way = choose(WRITE, writing, facts, self.mechanism)
        if isinstance(way, Unsupported):
            return way
        group, where = own_group(facts.answers["group"].stdout.strip(), site.run_id)
        return Plan(
            id=site.id(self.name),
            timing=Timing(site.hold_s, ttl(site.hold_s, ttl_s, cuts_control=False), INJECT_BUDGET_S),
            change=Change(
                mechanism=way.mechanism.name,
                rejected=way.rejected,
                says=f"rewrite and sync {self.workers} files of {EACH_MIB} MiB in {writing.folder} in a loop with {way.mechanism.name}, "
                f"{where}",
                reverts_what="our processes ended, their folder removed",
                steps=group + way.mechanism.steps(writing, facts),
                resources=(volumes.lock(facts.answers, path, space),),
                touches=way.mechanism.touches,
                files=(writing.folder,),
                persistent=facts.answers["type"].stdout.strip() != "tmpfs",
            ),
            proof=Proof(
                baseline=("test", "!", "-e", writing.folder),
                witness=way.mechanism.witness(writing),
                still=("sd_background_runs", "stressor"),
            ),
        )
