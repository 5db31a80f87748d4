"""Volumes: ext4 in an image file on a loop device, or a tmpfs where this machine has no loop devices."""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

from stormdesk.infra.backends.lab import kernel, processes

_LOOP_CTL_REMOVE, _LOOP_CTL_GET_FREE = 0x4C81, 0x4C82
_CONTROL = "/dev/loop-control"


def loops_available() -> bool:
    """Can this machine attach an image file to a loop device?"""
    try:
        fd = os.open(_CONTROL, os.O_RDWR)
    except OSError:
        return False
    try:
        return Path(f"/dev/loop{fcntl.ioctl(fd, _LOOP_CTL_GET_FREE)}").exists()
    except OSError:
        return False
    finally:
        os.close(fd)


def create(image: str, size_mib: int) -> None:
    """Create a sparse ext4 image. 4 KiB blocks and no reserved ones, so that a service can use all free space."""
    with open(image, "wb") as file:
        os.fchmod(file.fileno(), 0o600)
        file.truncate(size_mib << 20)
    options = ("-q", "-b", "4096", "-m", "0", "-E", "nodiscard,lazy_itable_init=1")
    subprocess.run(["mkfs.ext4", *options, image], check=True, timeout=30, capture_output=True)


def mount(image: str, target: str, options: str = "nodev,nosuid,discard") -> None:
    """Mount an image; its loop device is freed with the last mount."""
    command = ["mount", "-n", "-t", "ext4", "-o", f"loop,{options}", image, target]
    subprocess.run(command, check=True, timeout=30, capture_output=True)


def loops() -> dict[str, str]:
    """All loop devices in use: name (`loop3`) to image file."""
    found = {}
    for path in Path("/sys/block").glob("loop*/loop/backing_file"):
        with contextlib.suppress(OSError):
            found[path.parts[3]] = path.read_text().strip().removesuffix(" (deleted)")
    return found


def nodes() -> set[str]:
    """All loop devices that exist, in use or not."""
    return {path.name for path in Path("/sys/block").glob("loop*")}


def wait_released(prefix: str, seconds: float) -> bool:
    """Wait until no loop device holds an image whose path starts with `prefix`."""
    deadline = time.monotonic() + seconds
    while any(image.startswith(prefix) for image in loops().values()):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


def remove_nodes(names: Iterable[str]) -> None:
    """Remove loop devices that a lab added to the machine, except those in use again."""
    fd = os.open(_CONTROL, os.O_RDWR) if os.path.exists(_CONTROL) else -1
    if fd >= 0:
        for name in names:
            with contextlib.suppress(OSError):
                fcntl.ioctl(fd, _LOOP_CTL_REMOVE, int(name.removeprefix("loop")))
        os.close(fd)


def thaw(init: int) -> int:
    """Thaw every volume mounted in the processes below lab init `init`: on a frozen one they could not die.

    Returns how many were thawed. Only ext4 on loop devices counts, so the machine's own file systems are left alone.
    """
    thawed = 0
    seen = set()
    for pid in (init, *processes.descendants(init)):
        for path in _mount_points(pid):
            with contextlib.suppress(OSError):
                device = os.stat(path).st_dev
                if device not in seen:
                    seen.add(device)
                    thawed += kernel.thaw(path)
    return thawed


def _mount_points(pid: int) -> list[str]:
    """The ext4 volumes in a process's mount table, as paths that this process can open."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/mountinfo") as table:
        rows = [line.split() for line in table]
        mounts = [(row[4], row[row.index("-") + 1], row[row.index("-") + 2]) for row in rows]
        return [f"/proc/{pid}/root{at}" for at, kind, source in mounts if kind == "ext4" and "/loop" in source]
    return []
