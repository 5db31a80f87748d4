"""Limits of a host: memory and number of processes, in cgroups v1 or v2, whichever this machine has.

systemd on a host needs a group in v2, which need not limit anything: it is where systemd makes groups of its own.

A lab's groups are `stormdesk-<lab>/<host>` in each hierarchy; they are found again by that name alone.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

from stormdesk.infra.backends.lab.spec import HostSpec
from stormdesk.infra.topology import Init

ROOT = Path("/sys/fs/cgroup")
V1 = ("memory", "pids", "cpu", "freezer")
UNIFIED = "unified"  # where v2 is mounted beside v1
EMPTY_S = 2.0  # processes that ended hold a group for some milliseconds


def version() -> str:
    """`v2`, `v1` or `none`: what can limit hosts here."""
    if (ROOT / "cgroup.controllers").exists():
        return "v2" if _usable(ROOT) and _hand_down(ROOT) else "none"
    return "v1" if all(_usable(ROOT / controller) for controller in ("memory", "pids")) else "none"


def tree() -> Path | None:
    """Where v2 is mounted; None where it is not."""
    return next((place for place in (ROOT, ROOT / UNIFIED) if (place / "cgroup.controllers").exists()), None)


def create(lab: str, host: HostSpec) -> None:
    """Make the groups of one host with its limits."""
    kind = version()
    if host.init is Init.SYSTEMD and (top := tree()):
        (top / _name(lab) / host.name).mkdir(parents=True, exist_ok=True)
    if kind == "v2":
        group = ROOT / _name(lab) / host.name
        group.parent.mkdir(exist_ok=True)
        _hand_down(group.parent)
        group.mkdir(exist_ok=True)
        _write(group / "memory.max", host.memory_mib << 20)
        _write(group / "pids.max", host.max_processes)
    elif kind == "v1":
        for group in _v1(lab, host.name):
            group.mkdir(parents=True, exist_ok=True)
        _write(ROOT / "memory" / _name(lab) / host.name / "memory.limit_in_bytes", host.memory_mib << 20)
        _write(ROOT / "pids" / _name(lab) / host.name / "pids.max", host.max_processes)


def enter(lab: str, host: str) -> None:
    """Put the calling process, and what it will start, under the limits of a host."""
    kind = version()
    groups = list(_v1(lab, host)) if kind == "v1" else []
    if (top := tree()) and (top / _name(lab) / host).is_dir():
        groups.append(top / _name(lab) / host)
    for group in groups:
        _write(group / "cgroup.procs", 0)


def labs() -> set[str]:
    """The names of all labs that have groups here."""
    return {p.name.removeprefix("stormdesk-") for parent in _parents() for p in parent.glob("stormdesk-*") if p.is_dir()}


def remove_host(lab: str, host: str) -> None:
    """Remove one host's groups. Its processes must be gone."""
    for parent in _parents():
        _remove(parent / _name(lab) / host)


def remove(lab: str) -> None:
    """Remove a lab's groups. Its processes must be gone; OSError (EBUSY) says that some are not."""
    for parent in _parents():
        _remove(parent / _name(lab))


def _parents() -> Sequence[Path]:
    return [ROOT, ROOT / UNIFIED, *(ROOT / controller for controller in V1)]


def _remove(group: Path) -> None:
    """Remove a group with those below it."""
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


def _hand_down(group: Path) -> bool:
    """Let the children of a v2 group limit memory and processes. False: not here (a container's root, for example)."""
    if not {"memory", "pids"} <= set((group / "cgroup.subtree_control").read_text().split()):
        try:
            _write(group / "cgroup.subtree_control", "+memory +pids")
        except OSError:
            return False
    return True


def _write(path: Path, value: object) -> None:
    path.write_text(str(value))
