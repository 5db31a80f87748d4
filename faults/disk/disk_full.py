"""disk-full: fill a file system, as a runaway log would."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from stormdesk.core.errors import RefusedError, UsageError
from stormdesk.core.fault import Example, Site, Unsupported
from stormdesk.core.inventory import Inventory
from stormdesk.core.model import Argv, HostFacts
from stormdesk.core.plan import Change, Effects, Plan, Proof, Timing, ttl
from stormdesk.core.values import Percent, Size
from stormdesk.host import probe, volumes
from stormdesk.mechanism import data_folder
from stormdesk.mechanism.filling import LADDER, Filling
from stormdesk.mechanism.ladder import choose, tools

MIB = 1024 * 1024
SYSTEM_RESERVE_MIB = 64  # always left free on the system's own file systems, with RESERVE_INODES
RESERVE_INODES = 1000


@dataclass(frozen=True)
class DiskFull:
    """Fill it with one file; the undo unlinks it, which needs no free space. At 100 %, a user cannot allocate one more block."""

    name: ClassVar[str] = "disk-full"
    title: ClassVar[str] = "Fill a filesystem"
    undo: ClassVar[str] = "unlinks the one file that fills it"
    needs: ClassVar[Argv] = ("df", "dd", "stat")
    may_use: ClassVar[Argv] = tools(LADDER)
    may_cut_control: ClassVar[bool] = False

    percent: Percent = field(
        default=Percent(100),
        metadata={"help": "how full, as a share of what users can allocate: 1..100", "grid": ("50", "90", "100")},
    )
    size: Size | None = field(default=None, metadata={"help": "write this much instead, e.g. 200MiB", "kind": Size})
    reserve: Size | None = field(
        default=None, metadata={"help": "leave this much free instead, e.g. 1MiB", "kind": Size}
    )
    path: str = field(default="", metadata={"help": "a folder on the file system; default: the host's data folder"})
    mechanism: str = field(default="", metadata={"help": "fallocate or dd; default: the first that the host has"})

    @classmethod
    def example(cls, inventory: Inventory) -> Sequence[Example]:
        return [
            Example(host.name, {"percent": "100"}, ("df", "-Pk", host.paths["data"]), r" 100% ")
            for host in inventory.hosts.values()
            if "data" in host.paths
        ]

    def probes(self, site: Site) -> Mapping[str, Argv]:
        path = self._path(site)
        return {
            **data_folder.probes(path),
            "inodes": ("df", "-Pi", path),
            **volumes.probes(path),
        }

    def plan(self, facts: HostFacts, site: Site, ttl_s: float | None) -> Plan | Unsupported:
        path = self._path(site)
        data_folder.check_there(path, facts, site)
        if why := volumes.unwritable(facts.answers, path):
            raise RefusedError(f"--path {path} on {site.host.name}: {why}. Nothing was changed")
        space = probe.space(facts.answers["df"].stdout, facts.answers["inodes"].stdout)
        size, top = self._sizes(space, volumes.system_folder(facts.answers, space), site)
        target = f"{path}/.stormdesk-{site.run_id}"
        probed = f"{target}.probe"  # the witness removes it, or the undo if the witness is killed
        user = next((s.user for s in site.host.services.values()), "nobody")
        filling = Filling(target, size, 2 * space.total_kib * 1024 if top else 0, probed)
        way = choose(LADDER, filling, facts, self.mechanism)
        if isinstance(way, Unsupported):
            return way
        return Plan(
            id=site.id(self.name),
            timing=Timing(site.hold_s, ttl(site.hold_s, ttl_s, cuts_control=False)),
            change=Change(
                mechanism=way.mechanism.name,
                rejected=way.rejected,
                says=f"write {size / MIB:.1f} MiB with {way.mechanism.name} to {target}"
                + (", then to the last block" if top else ""),
                reverts_what="unlink",
                steps=way.mechanism.steps(filling, facts),
                resources=(volumes.lock(facts.answers, path, space),),
                files=(target, probed),
                spaces=(path,),
                persistent=facts.answers["type"].stdout.strip() != "tmpfs",
            ),
            proof=_proof(path, user, target, size, full=bool(top)),
            effects=Effects(refuses_orders=bool(top)),
        )

    def _path(self, site: Site) -> str:
        if self.size is not None and self.reserve is not None:
            raise UsageError("disk-full takes --size or --reserve, not both: how much to write, or how much to leave")
        return data_folder.chosen(self.path, site)

    def _sizes(self, space: probe.Space, system: str, site: Site) -> tuple[int, int]:
        """Bytes to write, and 1 if the last block is to be filled too. `system`: a system folder on that file system, or ""."""
        usable = space.used_kib + space.free_kib
        if self.size is not None:
            wanted = int(self.size)
        elif self.reserve is not None:
            wanted = space.free_kib * 1024 - int(self.reserve)
        else:
            wanted = int(usable * float(self.percent) / 100 - space.used_kib) * 1024
        free = space.free_kib * 1024
        if wanted <= 0:
            raise RefusedError(f"{self._path(site)} on {site.host.name} is already that full. Nothing was changed")
        if system:
            mounts = ", ".join(site.host.paths.values()) or "none named in the inventory"
            if free - wanted < SYSTEM_RESERVE_MIB * MIB or space.free_inodes < RESERVE_INODES:
                raise RefusedError(
                    f"{self._path(site)} on {site.host.name} is not a separate mount; filling it would fill {system} and lock out sshd. "
                    f"Data folders: {mounts}. Nothing was changed"
                )
            return wanted, 0
        if wanted > free:
            raise UsageError(
                f"--size {wanted // MIB}MiB: {self._path(site)} on {site.host.name} has {free // MIB} MiB free"
            )
        return wanted, int(wanted == free)


def _proof(path: str, user: str, target: str, size: int, *, full: bool) -> Proof:
    """At the top the witness is a user whose write fails; otherwise the blocks that our file occupies."""
    if full:
        return Proof(
            baseline=("sd_not_full", path, user), witness=("sd_witness_full", path, user), still=("test", "-s", target)
        )
    return Proof(baseline=("test", "!", "-e", target), witness=("sd_witness_taken", path, target, str(size)))
