"""The process that started a run, and whether it is still alive."""

from __future__ import annotations

import os
from pathlib import Path

from stormdesk.core.errors import UsageError
from stormdesk.core.run_ids import whole
from stormdesk.run.prepare import controller_identity
from stormdesk.run.record import load, runs_folder


def controller_alive(run_id: str) -> bool | None:
    """Is the process that started this run still at it? None when this machine's records do not tell."""
    try:
        started = next((e for e in load(runs_folder() / whole(run_id)) if e["event"] == "run.started"), None)
    except UsageError:
        return None
    here = controller_identity()
    who = started["controller"] if started else {}
    if who.get("boot_id") != here.boot_id or who.get("pid_namespace") != here.pid_namespace:
        return None
    pid = int(who["pid"])
    return pid != os.getpid() and who.get("start") == process_start(pid)


def process_start(pid: int) -> str:
    """Start time of a process (field 22 of its stat), "" when there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""
