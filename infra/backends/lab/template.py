"""What a host can see of this machine: an allow-list, as an overlay layer on top of the machine's root.

Programs and libraries (/usr and what belongs to it) are visible. Everything else (homes, keys, other projects, state
and caches) is hidden by whiteouts and empty directories, whatever its name.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from fnmatch import fnmatch
from pathlib import Path

TOP = ("usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32", "etc", "var")
EMPTY = (
    *("root", "home", "tmp", "run", "srv", "mnt", "media", "opt", "boot", "proc", "sys", "dev"),
    *("var/log", "var/tmp", "var/cache", "var/spool", "var/lib/trading", "var/lib/stormdesk"),
    *("etc/ssh", "etc/supervisor", "etc/stormdesk", "etc/trading"),
    # Units that this machine, or a package in the layer, has enabled must not start on the host.
    *("etc/systemd", "etc/init.d", "etc/default", "etc/tmpfiles.d", "var/lib/systemd"),
)
ETC = """
    adduser.conf alternatives bash.bashrc ca-certificates debian_version deluser.conf ethertypes gai.conf group
    gshadow host.conf inputrc iproute2 issue java-*-openjdk ld.so.cache ld.so.conf ld.so.conf.d libaudit.conf locale.alias localtime
    login.defs magic magic.mime mke2fs.conf networks nftables.conf nsswitch.conf os-release pam.conf pam.d passwd perl
    profile protocols python3* rpc securetty security services shadow shells skel ssl sudo.conf sudo_logsrvd.conf
    sudoers sysctl.conf terminfo timezone xattr.conf
""".split()  # noqa: SIM905  a list of forty quoted words is no easier to read
UNITS = "usr/lib/systemd/system"
OF_SYSTEMD = ("systemd-*", "dbus*", "getty.target")  # systemd's own units, and no others of this machine
TARGETS = ("sysinit", "sockets", "multi-user", "timers", "local-fs")
KEEP = {f"{UNITS}/{target}.target.wants": OF_SYSTEMD for target in TARGETS} | {
    "": TOP,
    "etc": ETC,
    "etc/ssl": ("certs", "openssl.cnf"),
    "var": ("lib",),
    "var/lib": ("dpkg",),
}
LINKS = {
    "etc/mtab": "/proc/self/mounts",
    "var/run": "/run",
    "var/lock": "/run/lock",
}


def build(template: str, machine: str = "/") -> None:
    """Fill the empty directory `template`, which must be on a separate file system."""
    top = Path(template)
    for name in EMPTY:
        (top / name).mkdir(mode=0o755, parents=True)
        os.setxattr(top / name, "trusted.overlay.opaque", b"y")
    os.chmod(top / "root", 0o711)  # noqa: S103  so that services may run a Python that lives below it
    os.chmod(top / "var/tmp", 0o1777)  # noqa: S103  as everywhere
    for name in ("lastlog", "wtmp"):
        (top / "var/log" / name).touch()
    for path, target in LINKS.items():
        (top / path).parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        os.symlink(target, top / path)
    for directory, keep in KEEP.items():
        _hide(top / directory, Path(machine) / directory, keep)


def _hide(template: Path, machine: Path, keep: Iterable[str]) -> None:
    """Hide every entry of the machine's directory that matches no pattern in `keep` and is missing from the template."""
    template.mkdir(mode=0o755, parents=True, exist_ok=True)
    for name in os.listdir(machine) if machine.is_dir() else ():
        if not any(fnmatch(name, pattern) for pattern in keep) and not os.path.lexists(template / name):
            os.mknod(template / name, stat.S_IFCHR, os.makedev(0, 0))
