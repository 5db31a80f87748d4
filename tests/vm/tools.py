"""QEMU and debootstrap from the Debian packages that this machine's apt offers, unpacked into the cache. Nothing is installed."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from stormdesk.core.errors import RefusedError
from stormdesk.infra import making
from stormdesk.infra.backends.lab import layer
from stormdesk.infra.making import Say

PACKAGES = ("qemu-system-x86", "qemu-utils", "debootstrap")
RECIPE = "1"  # to be raised when the steps below change what ends up in the folder
FETCH_S = 600.0


@dataclass(frozen=True)
class Tools:
    """Where the packages were unpacked."""

    root: Path

    def command(self, name: str) -> str:
        """The path of a program, which lies in usr/bin or usr/sbin."""
        return str(next(path for part in ("bin", "sbin") if (path := self.root / "usr" / part / name).exists()))

    @property
    def data(self) -> Sequence[Path]:
        """Where QEMU finds its firmware."""
        return [self.root / "usr/share" / name for name in ("seabios", "qemu")]

    @property
    def environ(self) -> Mapping[str, str]:
        """What the programs need to find their libraries and scripts."""
        return {
            **os.environ,
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "LD_LIBRARY_PATH": ":".join(
                str(path) for part in ("usr/lib", "lib") for path in self.root.glob(f"{part}/*-linux-gnu")
            ),
            "DEBOOTSTRAP_DIR": str(self.root / "usr/share/debootstrap"),
        }


def folder() -> Path:
    """Where all that belongs to the test stand is cached."""
    return layer.cache() / "vm"


def forget_unused() -> None:
    """Remove what was not used for a month: it belongs to other versions of the project."""
    for path in list(folder().glob("*-*")):
        if path.stat().st_mtime < time.time() - making.UNUSED_S:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def ensure(say: Say) -> Tools:
    """The tools; fetched first when there are none that run. RefusedError: why there can be none here."""
    digest = hashlib.sha256(f"{RECIPE} {' '.join(PACKAGES)}".encode()).hexdigest()[:16]
    tools = Tools(folder() / f"tools-{digest}")
    if not _run(tools):
        say(f"QEMU: {', '.join(PACKAGES)} by apt into {tools.root}")
        _fetch(tools.root)
        if not _run(tools):
            raise RefusedError(f"QEMU from Debian's packages does not run here ({tools.root})")
    making.in_use(tools.root)
    return tools


def _run(tools: Tools) -> bool:
    try:
        for name in ("qemu-system-x86_64", "qemu-img"):
            words = (tools.command(name), "--version")
            subprocess.run(words, check=True, capture_output=True, env=tools.environ, timeout=30)
    except (OSError, StopIteration, subprocess.CalledProcessError):
        return False
    return True


def _fetch(root: Path) -> None:
    """Let apt download what this machine lacks of the packages and their dependencies; unpack it below `root`."""
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise RefusedError("QEMU is taken from Debian's packages and this machine has no apt. Use Debian or Ubuntu")
    new = root.with_suffix(".new")
    shutil.rmtree(new, ignore_errors=True)
    debs = new / "debs"
    (debs / "partial").mkdir(parents=True)
    words = ("apt-get", "-q", "-y", "--no-install-recommends", "--download-only", "--reinstall")
    options = ("-o", "Debug::NoLocking=1", "-o", f"Dir::Cache::archives={debs}", "-o", "APT::Sandbox::User=root")
    done = subprocess.run(
        (*words, *options, "install", *PACKAGES), check=False, capture_output=True, text=True, timeout=FETCH_S
    )
    if done.returncode != 0:
        said = next((line for line in done.stderr.splitlines() if line.startswith("E: ")), "no output")
        raise RefusedError(f"QEMU by apt: {said}. Is there a network? Then type: apt-get update")
    for deb in sorted(debs.glob("*.deb")):
        subprocess.run(("dpkg-deb", "-x", deb, new), check=True, timeout=120)
    shutil.rmtree(debs)
    shutil.rmtree(root, ignore_errors=True)
    new.rename(root)
