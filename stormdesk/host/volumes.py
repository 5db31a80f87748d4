"""Which file system a path is on, and whether it is the system's: known by its device, not by the name of its mount. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from stormdesk.core.model import Argv, Completed
from stormdesk.host.probe import Space
from stormdesk.host.probe import space as read_space

# Where the system and its log-ins need space. A file system that holds one of them is the system's, by whatever mount it is reached.
SYSTEM_FOLDERS = ("/", "/etc", "/usr", "/var", "/var/lib", "/var/log", "/root", "/run", "/dev/shm", "/tmp")  # noqa: S108 -- only read
POOLED = ("btrfs", "overlayfs")  # its subvolumes, or it and the one below, have devices of their own and one space


def probes(path: str) -> Mapping[str, Argv]:
    """What `system_folder` needs to know of a path."""
    return {
        "devices": ("stat", "-L", "-c", "%d %n", path, *SYSTEM_FOLDERS),
        "system": ("df", "-Pk", *SYSTEM_FOLDERS),
        "kind": ("stat", "-L", "-c", "%F", path),
        "mounts": ("cat", "/proc/self/mountinfo"),
        "flags": ("lsattr", "-d", path),  # where there is one
    }


def unwritable(answers: Mapping[str, Completed], path: str) -> str:
    """Why no file can be made in folder `path`, or ""; from the answers to `probes`, and `inodes`: `df -Pi`."""
    if answers["kind"].stdout.strip() != "directory":
        return f"it is a {answers['kind'].stdout.strip()}, not a folder"
    if "ro" in _mount(answers["mounts"].stdout, path)[1]:
        return "its file system is mounted read-only"
    if answers["flags"].ok and {"i", "a"} & set(answers["flags"].stdout.partition(" ")[0]):
        return "the folder is immutable or append-only (lsattr)"
    _, inodes, _, free, *_ = (answers["inodes"].stdout.splitlines() or [""])[-1].split(None, 4) + [""] * 4
    if free == "0" and inodes != "0":  # 0 of 0: a file system that makes them as it needs them
        return "its file system has no free inodes"
    return ""


def lock(answers: Mapping[str, Completed], path: str, space: Space) -> str:
    """The resource `disk:...` of the file system of `path`: the same by whatever mount it is reached.

    It names what holds the space: the pool of a ZFS data set, the file system below an overlay, else the device, `major:minor`. From
    the answers to `probes`, and `type`: its kind as `stat -f` says it.
    """
    if answers["type"].stdout.strip() == "zfs":
        return f"disk:{space.device.split('/')[0]}"
    mounts = answers["mounts"].stdout
    device, options = _mount(mounts, path)  # of btrfs, the one device of all subvolumes, which stat does not tell
    upper = next((option.removeprefix("upperdir=") for option in options if option.startswith("upperdir=")), "")
    return f"disk:{_mount(mounts, upper)[0] if upper else device}"


def _mount(mountinfo: str, path: str) -> tuple[str, set[str]]:
    """(major:minor, options) of the mount that holds a path: the longest mount point, and of several on it the last; see proc(5)."""
    best, device, options = "", "", set[str]()
    for line in mountinfo.splitlines():
        head, _, tail = line.partition(" - ")
        _, _, number, _, point, own = head.split(" ")[:6]
        point = re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), point)
        if f"{path}/".startswith(point.rstrip("/") + "/") and len(point) >= len(best):
            best, device, options = point, number, {*own.split(","), *tail.split(" ")[-1].split(",")}
    return device, options


def system_folder(answers: Mapping[str, Completed], space: Space) -> str:
    """The first of the system's folders on the file system `space` of the path that was asked for, or "".

    `answers` are those to `probes`, and `type`: its kind as `stat -f` says it.
    """
    (device, _), *folders = (line.split(" ", 1) for line in answers["devices"].stdout.splitlines())
    kind = answers["type"].stdout.strip()
    for theirs, folder in folders:
        if theirs == device:
            return folder
    for line in answers["system"].stdout.splitlines()[1:]:
        other = read_space(line, "")
        # tmpfs and the like have no source that tells one from another: a path, a share or a data set has a slash.
        same = "/" in space.device and other.device == space.device
        pool = kind == "zfs" and other.device.split("/")[0] == space.device.split("/")[0]
        if same or pool or (kind in POOLED and other.total_kib == space.total_kib):
            return other.mount
    return ""
