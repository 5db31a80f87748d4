"""Labs' processes, found in /proc without any other state."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Sequence
from pathlib import Path

MODULE = "stormdesk.infra.backends.lab.init"
COMM = "stormdesk-lab"


def start_time(pid: int) -> int:
    """When a process started, in clock ticks since boot; together with the pid it identifies a process. 0: it is gone.

    A zombie counts as gone: its parent may be slow to reap it.
    """
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
        return 0 if fields[0] in "ZX" else int(fields[19])
    return 0


def labs() -> dict[str, int]:
    """All lab inits visible to this process, pids by lab name. Labs nested in containers are left out."""
    return {name: pid for pid in _pids() if (name := _lab_of(pid))}


def descendants(pid: int) -> Sequence[int]:
    """All descendants of `pid`."""
    parents = {child: _status(child).get("PPid", "0") for child in _pids()}
    below, last = {pid}, 0
    while len(below) != last:
        last = len(below)
        below |= {child for child, parent in parents.items() if int(parent) in below}
    return sorted(below - {pid})


def end_below(pid: int) -> None:
    """Kill all descendants of `pid` except labs, which outlive the process that started them."""
    inits = labs().values()
    kept = {process for init in inits for process in (init, *descendants(init))}
    for each in set(descendants(pid)) - kept:
        with contextlib.suppress(ProcessLookupError):
            os.kill(each, signal.SIGKILL)


def children(init: int) -> dict[int, int]:
    """A lab init's children: pid in the lab's namespace to pid in ours."""
    found = {}
    for pid in _pids():
        status = _status(pid)
        if status.get("PPid") == str(init):
            found[int(status["NSpid"].split()[1])] = pid
    return found


def _pids() -> Sequence[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _lab_of(pid: int) -> str:
    """The lab whose init this process is, or "". It is pid 1 of a namespace directly below ours."""
    with contextlib.suppress(OSError):
        if Path(f"/proc/{pid}/comm").read_text() != COMM + "\n":
            return ""
        inner = _status(pid).get("NSpid", "").split()
        words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
        if len(inner) == 2 and inner[1] == "1" and MODULE in words and start_time(pid):
            return words[words.index(MODULE) + 1]
    return ""


def _status(pid: int) -> dict[str, str]:
    with contextlib.suppress(OSError):
        rows = (line.partition(":\t") for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        return {key: value for key, _, value in rows}
    return {}
