"""The plan of a fault that limits how fast one process and its children read or write a disk. No fault itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from stormdesk.core.errors import RefusedError
from stormdesk.core.fault import Site, Unsupported
from stormdesk.core.model import Argv, HostFacts
from stormdesk.core.plan import Change, Plan, Timing, ttl
from stormdesk.core.rates import ByteRate, OperationRate
from stormdesk.host import probe, volumes
from stormdesk.mechanism import data_folder, throttling
from stormdesk.mechanism.ladder import choose
from stormdesk.mechanism.throttling import Throttling

SPARE_MIB = 16


@dataclass(frozen=True)
class Limit:
    """Of reads, or else of writes, on the disk that holds folder `path`, "" for the host's data folder."""

    path: str
    reads: bool
    rate: ByteRate | None
    iops: OperationRate | None

    @property
    def says(self) -> str:
        """`1MiB/s and 100 a second`."""
        operations = f"{self.iops} a second" if self.iops else ""
        return " and ".join(filter(None, (str(self.rate or ""), operations)))


def probes(words: Argv, path: str, site: Site) -> Mapping[str, Argv]:
    """What `plan` must know of the process that `words` select. Raises UsageError for a path that is not allowed."""
    path = data_folder.chosen(path, site)
    return {
        "processes": ("sd_target_throttle", *words),
        "disk": ("sd_disk_of", path),
        **data_folder.probes(path),
        "inodes": ("df", "-Pi", path),
        **volumes.probes(path),
    }


def plan(
    fault: str, process: probe.Process, what: str, limit: Limit, facts: HostFacts, site: Site, ttl_s: float | None
) -> Plan | Unsupported:
    """The plan; `what` is what was typed for the process."""
    path = data_folder.chosen(limit.path, site)
    data_folder.check_there(path, facts, site)
    if (disk := facts.answers["disk"].stdout.strip()).startswith("no:"):
        raise RefusedError(f"--path {path} on {site.host.name}: {disk.removeprefix('no: ')}. Nothing was changed")
    wanted = Throttling(
        identity=process.identity,
        group=probe.remark(facts.answers["processes"].stdout, "group"),
        disk=disk,
        does="read" if limit.reads else "write",
        rate=int(limit.rate or 0),
        iops=int(limit.iops or 0),
        ours=f"stormdesk.{site.run_id}",
        probe=f"{path}/.stormdesk-{site.run_id}.probe",
    )
    _check_room(wanted, path, facts, site)
    way = choose(throttling.LADDER, wanted, facts)
    if isinstance(way, Unsupported):
        return way
    return Plan(
        id=site.id(fault),
        timing=Timing(site.hold_s, ttl(site.hold_s, ttl_s, cuts_control=False)),
        change=Change(
            mechanism=way.mechanism.name,
            rejected=way.rejected,
            says=f"{process.identity.split('.')[0]} ({process.command[:60].strip()}) and its children "
            f"{'read' if limit.reads else 'write to'} disk {disk} at {limit.says}",
            reverts_what="the limit removed, the processes in the control group that they were in",
            steps=way.mechanism.steps(wanted, facts),
            resources=(f"process:{what}",),
            touches=way.mechanism.touches,
        ),
        proof=throttling.proof(wanted),
    )


def _check_room(wanted: Throttling, path: str, facts: HostFacts, site: Site) -> None:
    """Raise RefusedError unless what is measured has room in `path`."""
    if why := volumes.unwritable(facts.answers, path):
        raise RefusedError(f"--path {path} on {site.host.name}: {why}. Nothing was changed")
    blocks, size, _ = wanted.measured
    needs_mib, free_kib = blocks * size >> 20, probe.space(facts.answers["df"].stdout, "").free_kib
    if free_kib < 1024 * (needs_mib + SPARE_MIB):
        raise RefusedError(
            f"--path {path}: {site.host.name} has {free_kib // 1024} MiB free there, and {needs_mib} MiB are written to measure the "
            f"limit, with {SPARE_MIB} MiB to spare. Nothing was changed"
        )
