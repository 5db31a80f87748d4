"""inode-full: use up a file system's inodes, as endless small files would: there is free space, but no file can be created."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from stormdesk.core.errors import RefusedError
from stormdesk.core.fault import Example, Site, Unsupported
from stormdesk.core.inventory import Inventory
from stormdesk.core.model import Argv, HostFacts
from stormdesk.core.plan import Change, Plan, Proof, Step, Timing, ttl
from stormdesk.core.values import Percent
from stormdesk.host import probe, volumes
from stormdesk.mechanism import data_folder

MOST = 500_000  # files: creating more would exceed the time of an inject
SPARE = 64  # files tried beyond the free inodes, since others may delete files meanwhile


@dataclass(frozen=True)
class InodeFull:
    """Empty files in one folder of ours; the undo removes the folder, which needs no free space."""

    name: ClassVar[str] = "inode-full"
    title: ClassVar[str] = "Use up a file system's inodes"
    undo: ClassVar[str] = "removes the one folder whose files use them"
    needs: ClassVar[Argv] = ("df", "stat", "awk", "mkdir", "rm")
    may_use: ClassVar[Argv] = ()
    may_cut_control: ClassVar[bool] = False

    percent: Percent = field(
        default=Percent(100), metadata={"help": "the share of all inodes in use: 1..100", "grid": ("50", "90", "100")}
    )
    path: str = field(default="", metadata={"help": "a folder on the file system; default: the host's data folder"})

    @classmethod
    def example(cls, inventory: Inventory) -> Sequence[Example]:
        return [
            Example(host.name, {"percent": "100"}, ("df", "-Pi", host.paths["data"]), r" 100% ")
            for host in inventory.hosts.values()
            if "data" in host.paths
        ]

    def probes(self, site: Site) -> Mapping[str, Argv]:
        path = data_folder.chosen(self.path, site)
        return {
            **data_folder.probes(path),
            "inodes": ("df", "-Pi", path),
            **volumes.probes(path),
        }

    def plan(self, facts: HostFacts, site: Site, ttl_s: float | None) -> Plan | Unsupported:
        path = data_folder.chosen(self.path, site)
        data_folder.check_there(path, facts, site)
        space = self._check(path, facts, site)
        full = float(self.percent) == 100
        count = self._count(path, facts, site)
        folder = f"{path}/.stormdesk-{site.run_id}"
        probed = f"{folder}.probe"
        return Plan(
            id=site.id(self.name),
            timing=Timing(site.hold_s, ttl(site.hold_s, ttl_s, cuts_control=False)),
            change=Change(
                mechanism="empty files",
                says=f"create {count} empty files in {folder}" + (", and more until none is left" if full else ""),
                reverts_what="the folder removed",
                steps=(
                    Step(
                        ("sd_use_inodes", folder, str(count + SPARE if full else count)),
                        (("rm", "-rf", "--", folder, probed),),
                    ),
                ),
                resources=(volumes.lock(facts.answers, path, space),),
                files=(folder, probed),
                persistent=facts.answers["type"].stdout.strip() != "tmpfs",
            ),
            proof=Proof(
                baseline=("sd_writable", path),
                witness=("sd_witness_no_inode", path) if full else ("sd_witness_inodes", folder, str(count)),
                still=("test", "-d", folder),
            ),
        )

    def _check(self, path: str, facts: HostFacts, site: Site) -> probe.Space:
        """RefusedError if it is a system file system, or if no file can be created on it."""
        where = f"--path {path} on {site.host.name}"
        if why := volumes.unwritable(facts.answers, path):
            raise RefusedError(f"{where}: {why}. Nothing was changed")
        space = probe.space(facts.answers["df"].stdout, facts.answers["inodes"].stdout)
        if system := volumes.system_folder(facts.answers, space):
            raise RefusedError(f"{where} is not a separate mount: {system} shares its inodes. Nothing was changed")
        return space

    def _count(self, path: str, facts: HostFacts, site: Site) -> int:
        """How many files to create. RefusedError: none, too many, or the file system allocates inodes dynamically."""
        where = f"{path} on {site.host.name}"
        _, total, used, free, *_ = facts.answers["inodes"].stdout.splitlines()[-1].split(None, 4)
        if not total.isdigit() or int(total) == 0:
            raise RefusedError(
                f"{where} has no fixed number of inodes: its file system allocates them dynamically. Nothing was changed"
            )
        count = int(int(total) * float(self.percent) / 100) - int(used)
        if count <= 0:
            raise RefusedError(f"{where}: that many of its inodes are already in use. Nothing was changed")
        if min(count, int(free)) > MOST:
            raise RefusedError(
                f"{where} has {free} free inodes: that would take {count} files, and the limit is {MOST}. Nothing was changed"
            )
        return min(count, int(free))
