"""dir-vanish: a data folder is gone, as after a failed mount or a careless mv."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from stormdesk.core.errors import RefusedError
from stormdesk.core.fault import Example, Site, Unsupported
from stormdesk.core.inventory import Inventory
from stormdesk.core.model import Argv, HostFacts
from stormdesk.core.plan import Change, Plan, Proof, Timing, ttl
from stormdesk.host import volumes
from stormdesk.mechanism import data_folder
from stormdesk.mechanism.hiding import LADDER, Folder
from stormdesk.mechanism.ladder import choose, tools

NEVER = ("/home", "/root", *volumes.SYSTEM_FOLDERS)  # needed by log-ins, the host or its watchdog


@dataclass(frozen=True)
class DirVanish:
    """The folder is renamed within its parent; where that is impossible, an empty file system is mounted over it."""

    name: ClassVar[str] = "dir-vanish"
    title: ClassVar[str] = "Make a data folder disappear"
    undo: ClassVar[str] = "renames it back or removes our mount; what others created in its place is kept next to it"
    needs: ClassVar[Argv] = ("mv", "ls", "stat", "awk")
    may_use: ClassVar[Argv] = tools(LADDER)
    may_cut_control: ClassVar[bool] = False

    path: str = field(default="", metadata={"help": "the folder; default: the host's data folder"})
    mechanism: str = field(
        default="",
        metadata={"help": "rename (the folder is missing) or cover (it is empty); default: the first that works"},
    )

    @classmethod
    def example(cls, inventory: Inventory) -> Sequence[Example]:
        return [
            Example(host.name, {}, ("cat", "/proc/mounts"), "^stormdesk-r-")
            for host in inventory.hosts.values()
            if "data" in host.paths
        ]

    def probes(self, site: Site) -> Mapping[str, Argv]:
        path = data_folder.chosen(self.path, site)
        return {
            **data_folder.probes(path),
            "kind": ("stat", "-L", "-c", "%F", path),
            "mounts": ("cat", "/proc/self/mountinfo"),
        }

    def plan(self, facts: HostFacts, site: Site, ttl_s: float | None) -> Plan | Unsupported:
        path = data_folder.chosen(self.path, site)
        self._check(path, facts, site)
        folder = Folder(
            path, f"{path}.stormdesk-{site.run_id}", f"stormdesk-{site.run_id}", self._fixed(path, facts)
        )  # fmt: skip
        way = choose(LADDER, folder, facts, self.mechanism)
        if isinstance(way, Unsupported):
            return way
        renamed = way.mechanism.name == "rename"
        return Plan(
            id=site.id(self.name),
            timing=Timing(site.hold_s, ttl(site.hold_s, ttl_s, cuts_control=False)),
            change=Change(
                mechanism=way.mechanism.name,
                rejected=way.rejected,
                says=f"rename {path} to {folder.aside}" if renamed else f"mount an empty file system over {path}",
                reverts_what="renamed back" if renamed else "our mount removed",
                steps=way.mechanism.steps(folder, facts),
                resources=(f"path:{path}",),
                touches=way.mechanism.touches,
                files=(folder.aside,) if renamed else (),
                persistent=renamed and facts.answers["type"].stdout.strip() != "tmpfs",
            ),
            proof=Proof(
                baseline=("sd_has_content", path),
                witness=("sd_witness_renamed", path, folder.aside)
                if renamed
                else ("sd_witness_covered", path, folder.source),
                still=("test", "-d", folder.aside) if renamed else (),
            ),
        )

    def _check(self, path: str, facts: HostFacts, site: Site) -> None:
        """RefusedError if it is not a folder, or contains what the host or a log-in needs."""
        data_folder.check_there(path, facts, site)
        where = f"--path {path} on {site.host.name}"
        if (kind := facts.answers["kind"].stdout.strip()) != "directory":
            raise RefusedError(f"{where}: it is a {kind}, not a folder. Nothing was changed")
        for never in (*NEVER, volumes.DURABLE):
            if f"{never}/".startswith(f"{path}/"):
                raise RefusedError(f"{where}: the host needs {never}. Nothing was changed")
        home = path.startswith("/home/") and path.count("/") == 2
        if home or path.startswith(("/root/", "/run/")) or "/.ssh" in path:
            raise RefusedError(f"{where}: log-ins and runs need it. Nothing was changed")

    def _fixed(self, path: str, facts: HostFacts) -> str:
        """Why the folder cannot be renamed, or ""."""
        if facts.answers["type"].stdout.strip() == "overlayfs":
            return "an overlay file system copies a folder to rename it"
        for mount in volumes.mounts(facts.answers["mounts"].stdout):
            if f"{mount.point}/".startswith(f"{path}/"):
                return f"{mount.point} is a mount point"
        return ""
