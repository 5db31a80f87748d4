"""A small file system for one test."""

from __future__ import annotations

import contextlib
import subprocess
from pathlib import Path

from stormdesk.infra.backends.lab import volume


class Disk:
    """A small file system of its own, ext4 where there are loop devices: in a mount namespace that ends with its last
    process, so that it outlives the services on it and leaves nothing behind."""

    def __init__(self, home: Path, size_mib: int) -> None:
        self.mounted = home / "disk"
        self.mounted.mkdir()
        self.loop = volume.loops_available()
        if self.loop:
            volume.create(str(home / "disk.ext4"), size_mib)
            mount = f'mount -n -t ext4 -o loop "{home}/disk.ext4" "$1"'
        else:
            mount = f'mount -n -t tmpfs -o size={size_mib}m tmpfs "$1"'
        script = f"{mount} && echo ready && exec sleep infinity"
        words = ["unshare", "-m", "--propagation", "private", "sh", "-c", script, "sh", str(self.mounted)]
        self._holder = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == b"ready\n"
        self.wrap = ["nsenter", "-m", "-t", str(self._holder.pid), "--"]
        self.path = Path(f"/proc/{self._holder.pid}/root{self.mounted}")  # seen from here

    def run(self, *words: str) -> str:
        """A command where the disk is mounted; its output."""
        return subprocess.run([*self.wrap, *words], check=True, capture_output=True, text=True, timeout=30).stdout

    def fill(self) -> None:
        """Write until the disk is full. `free` makes room again."""
        with contextlib.suppress(OSError), (self.path / "fill").open("wb", buffering=0) as out:
            while out.write(b"\0" * 4096):
                pass

    def free(self) -> None:
        (self.path / "fill").unlink(missing_ok=True)

    def close(self) -> None:
        self._holder.kill()
        self._holder.communicate()
