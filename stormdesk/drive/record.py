"""The run directory: events.jsonl and what lies beside it. Append-only; what must survive us is on the disk before we act."""

from __future__ import annotations

import json
import os
import secrets
import threading
import time
from pathlib import Path
from typing import Any

from stormdesk import journal
from stormdesk.errors import UsageError

DURABLE = ("S1.intent", "S8.verified", "S9.cleared", "verdict")


def runs_folder() -> Path:
    """Where runs are kept: `runs/` in the current directory, or STORMDESK_RUNS."""
    return Path(os.environ.get("STORMDESK_RUNS", "runs"))


def new_run_id() -> str:
    """`r-20261121-0312-k3f9`: sorts by time, and short enough for a file name on any host."""
    return time.strftime("r-%Y%m%d-%H%M-", time.gmtime()) + secrets.token_hex(3)


class Record:
    """Writes the events of one run. Thread-safe."""

    def __init__(self, folder: Path, run_id: str, first_seq: int = 1) -> None:
        self.folder = folder
        self.run_id = run_id
        self._seq = first_seq
        self._lock = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True)
        self._fd = os.open(folder / "events.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)

    @classmethod
    def reopen(cls, run_id: str) -> Record | None:
        """The record of an earlier run, to add what its dead controller could not; None when it was never ours."""
        folder = runs_folder() / run_id
        if not (folder / "events.jsonl").is_file():
            return None
        return cls(folder, run_id, len(load(folder)) + 1)

    def event(self, name: str, **values: Any) -> None:
        """Append one event; those after which a host is touched, or is clean again, are fsynced."""
        with self._lock:
            line = {"seq": self._seq, "t": round(time.time(), 3), "run": self.run_id, "event": name, **values}
            os.write(self._fd, journal.encode(line))
            self._seq += 1
            if name in DURABLE:
                os.fsync(self._fd)

    def write(self, name: str, content: str | bytes) -> Path:
        """A file beside the events."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def write_json(self, name: str, value: Any) -> Path:
        return self.write(name, json.dumps(value, indent=1, sort_keys=True, default=str) + "\n")

    def events(self) -> list[journal.Event]:
        return load(self.folder)

    def close(self) -> None:
        os.close(self._fd)


def load(folder: Path) -> list[journal.Event]:
    """The events of a run directory. Raises UsageError if there are none."""
    path = folder / "events.jsonl"
    try:
        return journal.read(path.read_bytes(), str(path))
    except OSError as error:
        raise UsageError(
            f"no run record at {path}: {error.strerror}. invoke gameday.report --run takes one of {runs_folder()}/"
        ) from error
