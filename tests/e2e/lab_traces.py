"""Finds the traces of a lab on the machine, without the code under test."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path


def traces(name: str, home: str) -> list[str]:
    """Everything on this machine that belongs to the lab `name` with its state below `home`."""
    directory = f"{home}/envs/{name}"
    marks = (f"/run/stormdesk/{name}/", f"{directory}/", f"lab.init\0{name}\0")
    found = [f"process {pid}" for pid in _processes(marks)]
    found += [f"mount {line}" for line in Path("/proc/self/mountinfo").read_text().splitlines() if _any(marks, line)]
    found += [f"loop {p.parts[3]}" for p in Path("/sys/block").glob("loop*/loop/backing_file") if _any(marks, _read(p))]
    # os.walk goes on when a group goes away beneath it.
    found += [f"cgroup {path}" for path, _, _ in os.walk("/sys/fs/cgroup") if path.endswith(f"/stormdesk-{name}")]
    found += [f"file {p}" for p in (Path("/run/stormdesk") / name, Path(directory)) if p.exists()]
    return found


def assert_gone(name: str, home: str, seconds: float) -> None:
    """No trace of the lab is left after at most `seconds`."""
    deadline = time.monotonic() + seconds
    while left := traces(name, home):
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


def _processes(marks: tuple[str, ...]) -> list[int]:
    """Processes that see one of the lab's mounts or were started for it. Zombies see no mounts and are not counted."""
    pids = [int(p.name) for p in Path("/proc").iterdir() if p.name.isdigit()]
    return [
        pid for pid in pids if _any(marks, _read(Path(f"/proc/{pid}/mountinfo")) + _read(Path(f"/proc/{pid}/cmdline")))
    ]


def _any(marks: tuple[str, ...], text: str) -> bool:
    return any(mark in text for mark in marks)


def _read(path: Path) -> str:
    with contextlib.suppress(OSError):
        return path.read_text(errors="replace")
    return ""
