"""disk-readonly: a volume becomes read-only, as after a disk error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from stormdesk.core.errors import RefusedError
from stormdesk.core.fault import Example, Site, Unsupported
from stormdesk.core.inventory import Inventory
from stormdesk.core.model import Argv, HostFacts
from stormdesk.core.plan import Change, Plan, Proof, Timing, ttl
from stormdesk.host import probe, volumes
from stormdesk.mechanism import data_folder
from stormdesk.mechanism.ladder import choose, tools
from stormdesk.mechanism.read_only import LADDER, Volume

KINDS = (
    "ext2",
    "ext3",
    "ext4",
    "tmpfs",
    "xfs",
    "f2fs",
)  # file systems whose listed mount options can be passed back to mount


@dataclass(frozen=True)
class DiskReadonly:
    """A read-only remount; the kernel refuses that while a file is open for writing, then a read-only bind mount covers the volume."""

    name: ClassVar[str] = "disk-readonly"
    title: ClassVar[str] = "Make a volume read-only"
    undo: ClassVar[str] = "remounts with the original options, or removes our mount"
    needs: ClassVar[Argv] = ("mount", "umount", "stat", "xargs", "awk")
    may_use: ClassVar[Argv] = tools(LADDER)
    may_cut_control: ClassVar[bool] = False

    path: str = field(default="", metadata={"help": "a folder on the volume; default: the host's data folder"})
    mechanism: str = field(
        default="",
        metadata={
            "help": "remount (the whole volume) or bind (only files opened from then on); default: the first that works"
        },
    )

    @classmethod
    def example(cls, inventory: Inventory) -> Sequence[Example]:
        return [
            Example(
                host.name,
                {"mechanism": "bind"},
                ("grep", host.paths["data"], "/proc/mounts"),
                rf" {host.paths['data']} \S+ ro,",
            )
            for host in inventory.hosts.values()
            if "data" in host.paths
        ]

    def probes(self, site: Site) -> Mapping[str, Argv]:
        path = data_folder.chosen(self.path, site)
        return {
            **data_folder.probes(path),
            **volumes.probes(path),
            "writers": ("sd_writers", path),
        }

    def plan(self, facts: HostFacts, site: Site, ttl_s: float | None) -> Plan | Unsupported:
        path = data_folder.chosen(self.path, site)
        data_folder.check_there(path, facts, site)
        mount, there = self._mount(path, facts, site)
        volume = Volume(mount.point, mount.source, mount.all_options, there)
        way = choose(LADDER, volume, facts, self.mechanism)
        if isinstance(way, Unsupported):
            return way
        return Plan(
            id=site.id(self.name),
            timing=Timing(site.hold_s, ttl(site.hold_s, ttl_s, cuts_control=False)),
            change=Change(
                mechanism=way.mechanism.name,
                rejected=way.rejected,
                says=f"{mount.point} becomes read-only"
                + ("" if way.mechanism.name == "remount" else " for files opened from then on"),
                reverts_what="writable again",
                steps=way.mechanism.steps(volume, facts),
                resources=(f"disk:{mount.device}",),
                touches=way.mechanism.touches,
                files=(f"{mount.point}/.stormdesk-{site.run_id}.probe",),
            ),
            proof=Proof(baseline=("sd_writable", mount.point), witness=("sd_witness_read_only", mount.point)),
        )

    def _mount(self, path: str, facts: HostFacts, site: Site) -> tuple[volumes.Mount, int]:
        """The mount, and how many are stacked on its mount point. RefusedError: it is the system's, or already read-only."""
        where = f"{path} on {site.host.name}"
        answers = facts.answers
        if system := volumes.system_folder(answers, probe.space(answers["df"].stdout, "")):
            raise RefusedError(
                f"{where} is not a separate mount: {system} would become read-only too. Nothing was changed"
            )
        mount = volumes.mount_of(answers["mounts"].stdout, path)
        if "ro" in {*mount.options.split(","), *mount.own.split(",")}:
            raise RefusedError(f"{where} is already read-only. Nothing was changed")
        if mount.kind not in KINDS:
            raise RefusedError(
                f"{where} is a file system of type {mount.kind}, not {', '.join(KINDS)}. Nothing was changed"
            )
        return mount, sum(each.point == mount.point for each in volumes.mounts(answers["mounts"].stdout))
