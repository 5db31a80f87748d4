"""file-permission: a service can no longer read or write a file, as after a careless chmod or a restored backup."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from stormdesk.core.errors import RefusedError, UsageError
from stormdesk.core.fault import Example, Site, Unsupported
from stormdesk.core.inventory import Inventory
from stormdesk.core.model import Argv, HostFacts
from stormdesk.core.plan import Change, Plan, Proof, Step, Timing, ttl
from stormdesk.core.safety import check_path
from stormdesk.core.words import FileMode
from stormdesk.mechanism import data_folder

NEVER = ("/root/", "/run/", "/var/lib/stormdesk/")  # needed by log-ins and runs


@dataclass(frozen=True)
class FilePermission:
    """Change the mode; the undo restores it if it is still the same file and still has the mode that we set."""

    name: ClassVar[str] = "file-permission"
    title: ClassVar[str] = "Revoke the permission to read or write a file"
    undo: ClassVar[str] = "restores the mode, unless somebody has replaced the file or changed its mode since"
    needs: ClassVar[Argv] = ("stat", "chmod", "dd")
    may_use: ClassVar[Argv] = ()
    may_cut_control: ClassVar[bool] = False

    path: str = field(default="", metadata={"help": "the file, e.g. /var/lib/trading/trader/ledger"})
    mode: FileMode = field(
        default=FileMode("000"),
        metadata={
            "help": "the temporary mode: without r to block reading, without w to block writing",
            "grid": ("444", "000"),
        },
    )
    user: str = field(
        default="", metadata={"help": "the user who loses access; default: the user of the host's services"}
    )

    @classmethod
    def example(cls, inventory: Inventory) -> Sequence[Example]:
        found = []
        for host in inventory.hosts.values():
            if "data" in host.paths and "trader" in host.services:
                ledger = f"{host.paths['data']}/trader/ledger.jsonl"
                found.append(Example(host.name, {"path": ledger}, ("stat", "-c", "%a", ledger), "^0$"))
        return found

    def probes(self, site: Site) -> Mapping[str, Argv]:
        if not self.path:
            raise UsageError("--path is required: the file whose mode is to change")
        path = check_path("--path", self.path)
        return {
            **data_folder.probes(path),
            "file": ("stat", "-c", "%i %a %F", path),
            "root": ("id", "-u", self._user(site)),
        }

    def plan(self, facts: HostFacts, site: Site, ttl_s: float | None) -> Plan | Unsupported:
        path = check_path("--path", self.path)
        inode, old = self._file(path, facts, site)
        user, new = self._user(site), f"{int(self.mode, 8):o}"  # in stat's format
        access = "read" if self.mode.reads_nothing else "write"
        return Plan(
            id=site.id(self.name),
            timing=Timing(site.hold_s, ttl(site.hold_s, ttl_s, cuts_control=False)),
            change=Change(
                mechanism="chmod",
                says=f"chmod {self.mode} {path} (now {old}): {user} cannot {access} it",
                reverts_what=f"chmod {old}",
                steps=(Step(("sd_mode", path, inode, new, old), (("sd_mode", path, inode, old, new),)),),
                resources=(f"path:{path}",),
                files=(f"mode {path}",),
                persistent=facts.answers["type"].stdout.strip() != "tmpfs",
            ),
            proof=Proof(baseline=("sd_may", user, access, path), witness=("sd_may_not", user, access, path)),
        )

    def _file(self, path: str, facts: HostFacts, site: Site) -> tuple[str, str]:
        """Its inode and mode. RefusedError: not a file, or it has that mode already. UsageError: the mode revokes nothing."""
        where = f"--path {path} on {site.host.name}"
        data_folder.check_there(path, facts, site, "file")
        inode, old, kind = facts.answers["file"].stdout.strip().split(" ", 2)
        if not kind.startswith("regular"):
            raise RefusedError(f"{where}: it is a {kind}, not a file. Nothing was changed")
        if path.startswith(NEVER) or "/.ssh/" in path:
            raise RefusedError(f"{where}: log-ins and runs need it. Nothing was changed")
        if not (self.mode.reads_nothing or self.mode.writes_nothing):
            raise UsageError(f"--mode {self.mode}: must revoke r or w for everybody, e.g. 000 or 444")
        if int(old, 8) == int(str(self.mode), 8):
            raise RefusedError(f"{where} already has mode {old}. Nothing was changed")
        if facts.answers["root"].stdout.strip() in ("", "0"):
            raise RefusedError(
                f"{self._user(site)} on {site.host.name} is root, whom no mode restricts, or an unknown user. Nothing was changed"
            )
        return inode, old

    def _user(self, site: Site) -> str:
        return self.user or next((each.user for each in site.host.services.values()), "nobody")
