"""power-cut: a volume loses all unsynced data, as in a power failure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from stormdesk.core.errors import RefusedError
from stormdesk.core.fault import Example, Site, Unsupported
from stormdesk.core.inventory import Inventory
from stormdesk.core.model import Argv, HostFacts
from stormdesk.core.plan import Change, Effects, Plan, Proof, Timing, ttl
from stormdesk.host import probe, volumes
from stormdesk.mechanism import data_folder
from stormdesk.mechanism.ladder import choose, tools
from stormdesk.mechanism.shutting_down import LADDER, Cut

START_S = 15.0  # how long the managers may take to restart the services


@dataclass(frozen=True)
class PowerCut:
    """SIGKILL its users, shut its file system down without a flush, and mount it again; its services stay down until the undo."""

    name: ClassVar[str] = "power-cut"
    title: ClassVar[str] = "Cut a volume's power: lose unsynced data"
    undo: ClassVar[str] = "mounts it again with the same options and starts its services; lost data stays lost"
    needs: ClassVar[Argv] = ("stat", "mount", "mountpoint", "umount", "xargs", "awk", "dd")
    may_use: ClassVar[Argv] = tools(LADDER)
    may_cut_control: ClassVar[bool] = False
    irreversible: ClassVar[str] = "always; what was not synced is lost"

    path: str = field(default="", metadata={"help": "a folder on the volume; default: the host's data folder"})
    mechanism: str = field(
        default="", metadata={"help": "perl or python3, to send the ioctl; default: the first that the host has"}
    )

    @classmethod
    def example(cls, inventory: Inventory) -> Sequence[Example]:
        looks = {
            "supervisor": (("supervisorctl", "status"), "STOPPED"),
            "systemd": (("systemctl", "is-active"), "inactive"),
        }
        found = []
        for host in inventory.hosts.values():
            manager = host.services["trader"].manager if "trader" in host.services else ""
            if manager in looks and "data" in host.paths:  # the trader keeps its ledger open there
                look, shows = looks[manager]
                found.append(Example(host.name, {}, (*look, "trader"), shows, irreversible=True))
        return found

    def probes(self, site: Site) -> Mapping[str, Argv]:
        path = data_folder.chosen(self.path, site)
        return {
            **data_folder.probes(path),
            **volumes.probes(path),
            "users": ("sd_volume_users", path),
            "node": ("sd_source", path),
            "inside": ("sd_inside",),
        }

    def plan(self, facts: HostFacts, site: Site, ttl_s: float | None) -> Plan | Unsupported:
        path = data_folder.chosen(self.path, site)
        mount = self._mount(path, facts, site)
        answer = facts.answers["users"].stdout
        self._check_users(mount.point, answer, site)
        services = tuple(sorted({rest for kind, rest in _words(answer) if kind == "service"}))
        cut = Cut(mount.point, mount.source, mount.kind, mount.all_options, services)
        way = choose(LADDER, cut, facts, self.mechanism)
        if isinstance(way, Unsupported):
            return way
        ended = sum(kind != "service" for kind, _ in _words(answer))
        ours = f"{mount.point}/.stormdesk-{site.run_id}"
        names = [service.partition(" ")[2] for service in services]
        return Plan(
            id=site.id(self.name),
            timing=Timing(
                site.hold_s, ttl(site.hold_s, ttl_s, cuts_control=False), undo_wait_s=START_S if names else 0.0
            ),
            change=Change(
                mechanism=way.mechanism.name,
                rejected=way.rejected,
                says=f"cut the power of {mount.point} ({mount.source}): {ended} processes end"
                + (f", {', '.join(names)} down" if names else ""),
                reverts_what="mounted again, its services started; unsynced data is lost",
                steps=way.mechanism.steps(cut, facts),
                resources=(f"disk:{mount.device}",),
                rechecks=((("sd_held", mount.point), ""),),
                touches=way.mechanism.touches,
                files=(ours, f"{ours}.unsynced", f"{ours}.probe"),
                irreversible=True,
            ),
            proof=Proof(baseline=("test", "!", "-e", ours), witness=("sd_witness_lost", mount.point), still=("true",)),
            effects=Effects(restarts=tuple((name, 1, 3) for name in names)),
        )

    def _mount(self, path: str, facts: HostFacts, site: Site) -> volumes.Mount:
        """The mount to cut. RefusedError if that would affect more than the volume, or if it could not be mounted again."""
        where, answers = f"{path} on {site.host.name}", facts.answers
        data_folder.check_there(path, facts, site)
        mount = volumes.mount_of(answers["mounts"].stdout, path)
        if system := volumes.system_folder(answers, probe.space(answers["df"].stdout, "")):
            raise RefusedError(f"{where} is not a separate volume; cutting it would cut {system}. Nothing was changed")
        if not answers["node"].ok:
            raise RefusedError(
                f"{where}: {mount.source} is no block device here; it could not be mounted again. Nothing was changed"
            )
        if why := volumes.not_to_be_unmounted(answers["mounts"].stdout, mount, answers["inside"].stdout):
            raise RefusedError(f"{where}: {why}. Nothing was changed")
        return mount

    def _check_users(self, point: str, answer: str, site: Site) -> None:
        """RefusedError if a protected process uses the volume, or something would keep it mounted."""
        if protected := probe.left_out(answer):
            raise RefusedError(
                f"{point} on {site.host.name} is used by {'; '.join(protected[:3])}. Nothing was changed"
            )
        for kind, rest in _words(answer):
            if kind == "held":
                raise RefusedError(f"{point} on {site.host.name}: {rest}. Nothing was changed")


def _words(answer: str) -> list[tuple[str, str]]:
    return [(kind, rest) for kind, _, rest in (line.partition(" ") for line in answer.splitlines() if line)]
