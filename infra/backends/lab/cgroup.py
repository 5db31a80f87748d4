"""A host's limits on memory and number of processes, in cgroups v1 or v2, whichever this machine has.

A systemd host also needs a v2 group, which may be without limits: systemd creates its own groups below it.

A lab's groups are `stormdesk-<lab>/<host>` in each hierarchy; that name is all that is needed to find them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from stormdesk.infra.backends.lab.spec import HostSpec
from stormdesk.infra.topology import Init

ROOT = Path("/sys/fs/cgroup")
LIMITS, SHOWN = ("memory", "pids"), ("cpu", "freezer", "blkio")  # what limits a host, and what it may use itself
V1 = (*LIMITS, *SHOWN)
UNIFIED = "unified"  # where v2 is mounted beside v1
EMPTY_S = 2.0  # a process keeps its group busy for some milliseconds after its end


def version() -> str:
    """The version that can limit hosts here: `v2`, `v1` or `none`."""
    if (ROOT / "cgroup.controllers").exists():
        return "v2" if _usable(ROOT) and _enable_controllers(ROOT) else "none"
    return "v1" if all(_usable(ROOT / controller) for controller in ("memory", "pids")) else "none"


def tree() -> Path | None:
    """Where v2 is mounted; None where it is not."""
    return next((place for place in (ROOT, ROOT / UNIFIED) if (place / "cgroup.controllers").exists()), None)


def create(lab: str, host: HostSpec) -> None:
    """Create one host's groups and set its limits."""
    kind = version()
    if host.init is Init.SYSTEMD and (top := tree()):
        (top / _name(lab) / host.name).mkdir(parents=True, exist_ok=True)
    if kind == "v2":
        group = ROOT / _name(lab) / host.name
        group.parent.mkdir(exist_ok=True)
        _enable_controllers(group.parent)
        group.mkdir(exist_ok=True)
        _write(group / "memory.max", host.memory_mib << 20)
        _write(group / "pids.max", host.max_processes)
    elif kind == "v1":
        for group in _v1(lab, host.name):
            group.mkdir(parents=True, exist_ok=True)
        _write(ROOT / "memory" / _name(lab) / host.name / "memory.limit_in_bytes", host.memory_mib << 20)
        _write(ROOT / "pids" / _name(lab) / host.name / "pids.max", host.max_processes)


def enter(lab: str, host: str) -> None:
    """Move the calling process, and so its future children, into a host's groups."""
    kind = version()
    groups = list(_v1(lab, host)) if kind == "v1" else []
    if (top := tree()) and (top / _name(lab) / host).is_dir():
        groups.append(top / _name(lab) / host)
    for group in groups:
        _write(group / "cgroup.procs", 0)


def shown() -> Mapping[str, str]:
    """The hierarchies of version 1 in which a host sees its own groups: by controller, all controllers of that hierarchy."""
    if version() != "v1":
        return {}
    lines = [line.split(":")[1] for line in Path("/proc/self/cgroup").read_text().splitlines()]
    return {c: line for c in SHOWN for line in lines if c in line.split(",") and _usable(ROOT / c)}


def labs() -> set[str]:
    """The names of all labs with groups on this machine."""
    return {p.name.removeprefix("stormdesk-") for parent in _parents() for p in parent.glob("stormdesk-*") if p.is_dir()}


def remove_host(lab: str, host: str) -> None:
    """Remove one host's groups. Its processes must be gone."""
    for parent in _parents():
        _remove(parent / _name(lab) / host)


def remove(lab: str) -> None:
    """Remove a lab's groups. Its processes must be gone; OSError (EBUSY) if some are not."""
    for parent in _parents():
        _remove(parent / _name(lab))


def _parents() -> Sequence[Path]:
    return [ROOT, ROOT / UNIFIED, *(ROOT / controller for controller in V1)]


def _remove(group: Path) -> None:
    """Remove a group and its descendants."""
    if not group.is_dir():
        return
    for child in group.iterdir():
        if child.is_dir():
            _remove(child)
    deadline = time.monotonic() + EMPTY_S
    while True:
        try:
            group.rmdir()
        except FileNotFoundError:
            pass
        except OSError:
            if time.monotonic() < deadline:
                time.sleep(0.005)
                continue
            raise
        return


def _name(lab: str) -> str:
    return f"stormdesk-{lab}"


def _usable(hierarchy: Path) -> bool:
    return hierarchy.is_dir() and os.access(hierarchy, os.W_OK) and (hierarchy / "cgroup.procs").exists()


def _v1(lab: str, host: str) -> Sequence[Path]:
    return [ROOT / c / _name(lab) / host for c in V1 if _usable(ROOT / c)]


def _enable_controllers(group: Path) -> bool:
    """Enable the memory and pids controllers for a v2 group's children. False: not permitted (as in a container's root)."""
    if not {"memory", "pids"} <= set((group / "cgroup.subtree_control").read_text().split()):
        try:
            _write(group / "cgroup.subtree_control", "+memory +pids")
        except OSError:
            return False
    return True


def _write(path: Path, value: object) -> None:
    path.write_text(str(value))
