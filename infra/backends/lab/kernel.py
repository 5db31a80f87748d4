"""The system calls that Python 3.11 lacks, by ctypes. Every failure raises OSError with the call's name."""

from __future__ import annotations

import ctypes
import fcntl
import os

CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS = 0x00020000, 0x02000000, 0x04000000
CLONE_NEWIPC, CLONE_NEWPID, CLONE_NEWNET = 0x08000000, 0x20000000, 0x40000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_BIND = 1, 2, 4, 8, 32, 4096
MS_REC, MS_PRIVATE, MNT_DETACH = 16384, 1 << 18, 2
_PR_SET_NAME, _PR_CAPBSET_DROP, _PR_SET_CHILD_SUBREAPER = 15, 24, 36
_FITHAW = 0xC0045878

_libc = ctypes.CDLL(None, use_errno=True)


def _call(name: str, *arguments: object) -> None:
    if getattr(_libc, name)(*arguments) == -1:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")


def unshare(flags: int) -> None:
    """Move to new namespaces of the given kinds (CLONE_NEWPID: takes effect for the next child)."""
    _call("unshare", ctypes.c_int(flags))


def setns(fd: int, kind: int) -> None:
    """Enter the namespace behind `fd`; CLONE_NEWNET affects only the calling thread."""
    _call("setns", ctypes.c_int(fd), ctypes.c_int(kind))


def mount(source: str, target: str, fstype: str = "", flags: int = 0, options: str = "") -> None:
    """mount(2)."""
    words = [os.fsencode(w) if w else None for w in (source, target, fstype)]
    _call("mount", *words, ctypes.c_ulong(flags), options.encode() or None)


def bind(source: str, target: str, *, read_only: bool = False) -> None:
    """Bind-mount `source` at `target`. The kernel ignores flags on the bind itself, so `read_only` is a remount."""
    mount(source, target, flags=MS_BIND)
    if read_only:
        mount("", target, flags=MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV)


def unmount(target: str) -> None:
    """Lazy unmount: detach now, clean up when the last user is gone."""
    _call("umount2", os.fsencode(target), ctypes.c_int(MNT_DETACH))


def pivot_root(root: str) -> None:
    """Make `root` (a mount point) this mount namespace's `/` and unmount the old one."""
    os.chdir(root)
    os.makedirs(".old", exist_ok=True)
    _call("pivot_root", b".", b".old")
    os.chdir("/")
    unmount("/.old")
    os.rmdir("/.old")


def set_name(name: str) -> None:
    """Set the process's short name (15 bytes), as shown in /proc/PID/comm and by `ps`."""
    _call("prctl", ctypes.c_int(_PR_SET_NAME), name.encode(), 0, 0, 0)


def adopt_orphans() -> None:
    """Become a subreaper: adopt every descendant whose parent exits."""
    _call("prctl", ctypes.c_int(_PR_SET_CHILD_SUBREAPER), ctypes.c_ulong(1), 0, 0, 0)


def drop_capability(number: int) -> None:
    """Remove a capability from the bounding set: no later exec can regain it."""
    _call("prctl", ctypes.c_int(_PR_CAPBSET_DROP), ctypes.c_ulong(number), 0, 0, 0)


def thaw(directory: str) -> bool:
    """Thaw the file system that holds `directory`. False: it was not frozen."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.ioctl(fd, _FITHAW, 0)
    except OSError:
        return False
    finally:
        os.close(fd)
    return True
