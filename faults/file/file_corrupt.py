"""file-corrupt: a file is damaged in place: flipped bits, a missing or torn end, or foreign lines."""

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
from stormdesk.core.values import Count, Seed
from stormdesk.core.words import Damage, Word
from stormdesk.mechanism import data_folder
from stormdesk.mechanism.damage import words

NEVER = ("/root/", "/run/", "/var/lib/stormdesk/")  # needed by log-ins and runs
LOGS = "/var/log/trading"  # where supervisord writes the output of a lab's services
MOST = {"flip": 16, "torn": 16, "cut": 1 << 20, "garbage": 16, "empty": 16, "future": 16}


class Afterwards(Word):
    """What becomes of the damage."""

    WORD = "WHAT"
    EXAMPLE = "repair"
    WORDS = ("repair", "keep")


@dataclass(frozen=True)
class FileCorrupt:
    """The damage is recorded next to the file before it is done. The undo restores only bytes that still carry our damage."""

    name: ClassVar[str] = "file-corrupt"
    title: ClassVar[str] = "Damage a file"
    undo: ClassVar[str] = (
        "restores the original bytes and times, except where its service has written since, which the record says"
    )
    irreversible: ClassVar[str] = "with --afterwards keep"
    needs: ClassVar[Argv] = ("stat", "dd", "od", "tail", "head", "touch", "awk", "sync", "mv")
    may_use: ClassVar[Argv] = ()
    may_cut_control: ClassVar[bool] = False

    path: str = field(default="", metadata={"help": "the file, e.g. /var/lib/trading/trader/ledger.jsonl"})
    how: Damage = field(
        default=Damage("flip"),
        metadata={
            "help": "flip (bits), cut (bytes off its end), torn (its last line), garbage, empty or future (appended lines)",
            "grid": ("empty", "future", "garbage", "torn", "flip"),
        },
    )
    amount: Count = field(
        default=Count(1), metadata={"help": "how many bits, bytes or lines", "grid": ("1", "4", "16")}
    )
    variant: Seed = field(
        default=Seed(1), metadata={"help": "the seed of the bits and the garbage; the same number, the same damage"}
    )
    afterwards: Afterwards = field(
        default=Afterwards("repair"),
        metadata={"help": "repair, or keep: the damage is left to the service that owns the file, and cannot be undone"},
    )

    @classmethod
    def example(cls, inventory: Inventory) -> Sequence[Example]:
        return [
            # A log is never empty, and a flipped bit can be restored while others append to the file.
            Example(host.name, {"path": f"{LOGS}/{name}.log"}, ("ls", "-a", LOGS), r"\.patch$")
            for host in inventory.hosts.values()
            for name, service in sorted(host.services.items())
            if service.manager == "supervisor"
        ]

    def probes(self, site: Site) -> Mapping[str, Argv]:
        if not self.path:
            raise UsageError("--path is required: the file to damage")
        path = check_path("--path", self.path)
        if self.amount > (most := MOST[str(self.how)]):
            raise UsageError(f"--amount {int(self.amount)}: at most {most} for --how {self.how}")
        return {
            **data_folder.probes(path),
            "file": ("stat", "-c", "%i %s %F", path),
        }

    def plan(self, facts: HostFacts, site: Site, ttl_s: float | None) -> Plan | Unsupported:
        path = check_path("--path", self.path)
        inode, size = self._file(path, facts, site)
        beside = f"{path.rpartition('/')[0]}/.stormdesk-{site.run_id}"
        notes = tuple(f"{beside}.{end}" for end in ("patch", "new", "kept", "times"))
        keep = self.afterwards == "keep"
        undo = ("rm", "-f", "--", *notes) if keep else ("sd_repair", path, inode)
        damage = words(str(self.how), int(self.amount), int(self.variant), size)
        return Plan(
            id=site.id(self.name),
            timing=Timing(site.hold_s, ttl(site.hold_s, ttl_s, cuts_control=False)),
            change=Change(
                mechanism="in place",
                says=f"{self.how} {int(self.amount)} of {path} (variant {int(self.variant)})",
                reverts_what="left to its service" if keep else "repaired",
                steps=(Step(("sd_damage", path, inode, *damage), (undo,)),),
                resources=(f"path:{path}",),
                files=notes,
                irreversible=keep,
                persistent=facts.answers["type"].stdout.strip() != "tmpfs",
            ),
            proof=Proof(
                baseline=("test", "!", "-e", f"{beside}.patch"),
                witness=("sd_witness_damage", path),
                still=("test", "-e", f"{beside}.patch"),
            ),
        )

    def _file(self, path: str, facts: HostFacts, site: Site) -> tuple[str, int]:
        """The file's inode, and its size in bytes. RefusedError if it is not a regular file, too short, or protected."""
        where = f"--path {path} on {site.host.name}"
        data_folder.check_there(path, facts, site, "file")
        inode, size, kind = facts.answers["file"].stdout.strip().split(" ", 2)
        if not kind.startswith("regular"):
            raise RefusedError(f"{where}: it is a {kind}, not a file. Nothing was changed")
        if path.startswith(NEVER) or "/.ssh/" in path:
            raise RefusedError(f"{where}: log-ins and runs need it. Nothing was changed")
        least = {"flip": 1, "cut": int(self.amount) + 1, "torn": 2}.get(str(self.how), 0)
        if int(size) < least:
            raise RefusedError(f"{where} has {size} bytes: too few for --how {self.how}. Nothing was changed")
        return inode, int(size)
