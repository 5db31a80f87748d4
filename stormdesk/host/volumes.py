"""Which file system a path is on, and whether it is the system's: known by its device, not by the name of its mount. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stormdesk.core.model import Argv, Completed
from stormdesk.host.probe import Space
from stormdesk.host.probe import space as read_space

# Where the system and its log-ins need space. A file system that holds one of them is the system's, by whatever mount it is reached.
SYSTEM_FOLDERS = ("/", "/etc", "/usr", "/var", "/var/lib", "/var/log", "/root", "/run", "/dev/shm", "/tmp")  # noqa: S108 -- only read
DURABLE = "/var/lib/stormdesk"  # where runs of faults that survive a restart have their records
POOLED = ("btrfs", "overlayfs")  # its subvolumes, or it and the one below, have devices of their own and one space


@dataclass(frozen=True)
class Mount:
    """A line of /proc/self/mountinfo (proc(5)): `device` is major:minor, `root` the folder of the file system that is shown at `point`,
    `options` those of the mount, `own` those of the file system."""

    device: str
    root: str
    point: str
    options: str
    kind: str
    source: str
    own: str

    @property
    def all_options(self) -> str:
        """As mount(8) takes them, in order, each once."""
        return ",".join(dict.fromkeys([*self.options.split(","), *self.own.split(",")]))


NO_MOUNT = Mount("", "", "", "", "", "", "")


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


def mounts(mountinfo: str) -> Sequence[Mount]:
    """All mounts, in order."""
    found = []
    for line in mountinfo.splitlines():
        head, _, tail = line.partition(" - ")
        device, root, point, options, kind, source, *own = map(_plain, (*head.split(" ")[2:6], *tail.split(" ")))
        found.append(Mount(device, root, point, options, kind, source, own[-1]))
    return found


def _plain(word: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), word)


def mount_of(mountinfo: str, path: str) -> Mount:
    """The mount that holds a path: the longest mount point, and of several on it the last."""
    best = NO_MOUNT
    for mount in mounts(mountinfo):
        if f"{path}/".startswith(mount.point.rstrip("/") + "/") and len(mount.point) >= len(best.point):
            best = mount
    return best


def _mount(mountinfo: str, path: str) -> tuple[str, set[str]]:
    """(major:minor, options) of the mount that holds a path."""
    mount = mount_of(mountinfo, path)
    return mount.device, {*mount.options.split(","), *mount.own.split(",")}


def not_to_be_unmounted(mountinfo: str, mount: Mount, inside: str) -> str:
    """Why `mount` cannot be unmounted, and mounted again alike, or "". `inside` lists what the kernel itself has open: swaps and
    the files behind loop devices, a path a line or `<file>:<path> ...`."""
    if mount.root != "/" or "\\" in mount.point:
        return f"it is {mount.root} of {mount.source}, not the whole of it"
    if "ro" in {*mount.options.split(","), *mount.own.split(",")}:
        return "its file system is mounted read-only"
    others = list(mounts(mountinfo))
    others.remove(mount)
    for other in others:
        if other.device == mount.device or f"{other.point}/".startswith(f"{mount.point}/"):
            return f"{other.point} is mounted {'from it, too' if other.device == mount.device else 'in it'}"
    for line in inside.splitlines():
        path = line.partition(":")[2].split(" ")[0]
        if path.startswith(f"{mount.point}/"):
            return f"{path} on it is in use as {'swap' if line.startswith('/proc/swaps') else 'a disk'}"
    return ""


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
