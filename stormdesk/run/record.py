"""The run directory: events.jsonl and its other files. Append-only; whatever must survive a crash is on the disk before we act.

Healing comes before book-keeping: nothing here raises but `require` and `intent`, which come before a host is touched.
What cannot be written is kept in memory, tried again with each event, and in the end written elsewhere (`settle`).
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Protocol

from stormdesk import durable
from stormdesk.core import journal
from stormdesk.core.audit import NAME as AUDIT
from stormdesk.core.errors import RefusedError, UsageError
from stormdesk.core.run_ids import whole
from stormdesk.run import audit
from stormdesk.run.lines import Lines
from stormdesk.run.writing import Writer

DURABLE = ("S8.verified", "S9.cleared", "verdict")
INTENT_S = 10.0  # how long a disk may take before a run is refused
PATIENCE_S = 1.0  # how long it may keep us from then on
SEAL_S = 10.0  # how long the audit log may take; the hosts are healed by then
ROOM = 16 << 20  # bytes that a cut and a report may need


def runs_folder() -> Path:
    """Where runs are kept: `runs/` in the current directory, or STORMDESK_RUNS."""
    return Path(os.environ.get("STORMDESK_RUNS", "runs"))


def new_run_id() -> str:
    """`r-20261121-0312-k3f9`: sorts by time, and short enough for a file name on any host."""
    return time.strftime("r-%Y%m%d-%H%M-", time.gmtime()) + secrets.token_hex(3)


class Events(Protocol):
    """What one fault of a run writes to its record; in `folder` there may be more of it."""

    @property
    def folder(self) -> Path: ...
    def event(self, name: str, **values: Any) -> None: ...
    def intent(self, **values: Any) -> None: ...
    def write(self, name: str, content: str | bytes) -> None: ...


class Record:
    """Writes the events of one run. Thread-safe. `error` is why the disk does not have all of it, or ""."""

    def __init__(self, folder: Path, run_id: str) -> None:
        self._folder = folder
        self.run_id = run_id
        self.error = ""
        self._lock = threading.Lock()
        self._beside: dict[str, bytes] = {}  # files, by their names
        self._unwritten: set[str] = set()  # those of them that are not on the disk
        self._elsewhere: Path | None = None
        self._ours = True  # all that is in the folder is from here
        self._to_seal: set[str] = set()  # files that were written since it was sealed
        self._file = Lines(folder / "events.jsonl")
        self._writer = Writer()

    @classmethod
    def reopen(cls, run_id: str) -> Record | None:
        """The record of an earlier run, to add what its dead controller could not; None when it was never ours."""
        folder = runs_folder() / whole(run_id)
        try:
            if not (folder / "events.jsonl").is_file():
                return None
        except OSError:
            return None
        record = cls(folder, whole(run_id))
        record._ours = False
        return record

    @property
    def folder(self) -> Path:
        return self._folder

    @property
    def home(self) -> Path:
        """The folder that has all of it: `folder`, or where `settle` had to write it."""
        return self._elsewhere if self.error and self._elsewhere else self.folder

    def event(self, name: str, **values: Any) -> None:
        """Append one event. What says that a host is clean again is waited for, until it is on the disk."""
        self._note(name, values)
        durably = name in DURABLE
        self._writer.do(lambda: self._flush(durably=durably), PATIENCE_S if durably else 0.0)

    def intent(self, **values: Any) -> None:
        """S1: on the disk when this returns. Raises RefusedError when it cannot be: then no host may hear of the run."""
        self._note("S1.intent", values)
        self.require()

    def require(self) -> None:
        """Raises RefusedError unless all that was said so far is on the disk."""
        said: list[str] = []
        self._writer.do(lambda: said.append(self._flush(durably=True)), INTENT_S)
        if said != [""]:
            raise RefusedError(
                f"the run's record cannot be written to {self.folder}: {said[0] if said else 'the disk does not answer'}. "
                "Nothing was changed. Make room, or set STORMDESK_RUNS to another folder"
            )

    def write(self, name: str, content: str | bytes) -> None:
        """A file beside the events."""
        with self._lock:
            self._beside[name] = content.encode() if isinstance(content, str) else content
            self._unwritten.add(name)
            self._to_seal.add(name)
        self._writer.do(self._flush, 0.0)

    def write_json(self, name: str, value: Any) -> None:
        self.write(name, json.dumps(value, indent=1, sort_keys=True, default=str) + "\n")

    def said(self) -> list[journal.Event]:
        """What this process has said so far, whether it is on the disk or not."""
        return list(self._file.said)

    def events(self) -> list[journal.Event]:
        """All events of the run; where the disk does not have them, those of this process."""
        self._writer.do(self._flush, PATIENCE_S)
        if not self.error:
            with contextlib.suppress(UsageError):
                return load(self.folder)
        return [{"seq": number, **event} for number, event in enumerate(list(self._file.said), 1)]

    def place(self, name: str) -> Path:
        """Where a file or folder of this name may be written: beside the events, or elsewhere when there is no room."""
        found: list[Path] = []
        self._writer.do(lambda: found.append(self.folder if roomy(self.folder) else self._other()), PATIENCE_S)
        return (found[0] if found else self._other()) / name

    def settle(self) -> str:
        """Write what is still to be written, elsewhere if it must be. One line for people where the record is not whole."""
        said: list[str] = []
        self._writer.do(lambda: said.append(self._settle()), 2 * PATIENCE_S)
        return said[0] if said else f"the record in {self.folder} is incomplete: the disk does not answer"

    def seal(self, why: str) -> tuple[str, str]:
        """Write the audit log: the head of its chain, and why it could not be written, or "". What others did to the files of an
        earlier run is not sealed, and an earlier run that was never sealed stays so."""
        said: list[tuple[str, str]] = []
        if self._writer.do(lambda: None, PATIENCE_S):
            self._writer.do(lambda: said.append(self._seal(why)), SEAL_S)
        return said[0] if said else ("", "the disk does not answer")

    def close(self, why: str = "run") -> None:
        """Write what can be written, seal it, and let go of the file."""
        self._writer.do(self._flush, PATIENCE_S)
        self.seal(why)
        self._writer.do(self._file.close, PATIENCE_S)
        self._writer.end()

    def _note(self, name: str, values: dict[str, Any]) -> None:
        with self._lock:
            self._file.said.append({"t": round(time.time(), 3), "run": self.run_id, "event": name, **values})

    # ---- in the writer's thread --------------------------------------------------------------------------------------

    def _flush(self, *, durably: bool = False) -> str:
        """Write what waits; why it could not be written, or ""."""
        with self._lock:
            beside = dict(self._beside)
        try:
            self._file.flush(durably=durably)
            for name, content in beside.items():
                if name in self._unwritten or not (self.folder / name).exists():
                    _put(self.folder / name, content)
                    self._unwritten.discard(name)
            self.error = ""
        except Exception as error:  # noqa: BLE001 -- whatever it is, the hosts come first; it is said in the end
            self.error = _why(error)
        return self.error

    def _settle(self) -> str:
        self._flush(durably=True)
        if not self.error:
            return ""
        start = f"the record in {self.folder} is incomplete: {self.error}"
        with self._lock:
            beside = dict(self._beside)
        try:
            home = self._other()
            copy = Lines(home / "events.jsonl", self._file.said)
            copy.flush(durably=True)
            copy.close()
            for name, content in beside.items():
                _put(home / name, content)
        except Exception as error:  # noqa: BLE001 -- as above
            return f"{start}. It could not be written elsewhere either: {_why(error)}"
        return f"{start}. What this command did is in {home}"

    def _seal(self, why: str) -> tuple[str, str]:
        home = self.home
        try:
            if not self._ours and not (home / AUDIT).is_file():
                return "", "this run was never sealed"
            head = audit.seal(home, why, None if self._ours else self._to_seal)
        except Exception as error:  # noqa: BLE001 -- as above
            return "", _why(error)
        self._ours = False
        self._to_seal.clear()
        return head, ""

    def _other(self) -> Path:
        """The folder elsewhere. Raises OSError."""
        if self._elsewhere is None:
            folder = scratch() / self.run_id
            folder.mkdir()
            self._elsewhere = folder
        return self._elsewhere


class OpRecord:
    """The record of a run of several faults, as one of them writes it: each event names the operation."""

    def __init__(self, record: Record, op: str) -> None:
        self._record = record
        self._op = op

    @property
    def folder(self) -> Path:
        return self._record.folder / self._op

    def event(self, name: str, **values: Any) -> None:
        self._record.event(name, op=self._op, **values)

    def intent(self, **values: Any) -> None:
        self._record.intent(op=self._op, **values)

    def write(self, name: str, content: str | bytes) -> None:
        folder, _, file = name.rpartition("/")
        self._record.write(f"{folder}/{self._op}/{file}", content)


def load(folder: Path) -> list[journal.Event]:
    """The events of a run directory. Raises UsageError if there are none."""
    path = folder / "events.jsonl"
    try:
        return journal.read(path.read_bytes(), str(path))
    except OSError as error:
        raise UsageError(
            f"no run record at {path}: {error.strerror}. invoke gameday.report --run takes one of {runs_folder()}/"
        ) from error


def roomy(folder: Path, size: int = ROOM) -> bool:
    """Can that many bytes be written there? The folder is made if need be."""
    try:
        durable.make_folder(folder)
        with tempfile.TemporaryFile(dir=folder) as file:
            os.posix_fallocate(file.fileno(), 0, size)
    except OSError:
        return False
    return True


def scratch() -> Path:
    """A new folder that is nobody else's, for what has no room in runs/. Raises OSError."""
    for parent in (tempfile.gettempdir(), "/dev/shm"):  # noqa: S108 -- mkdtemp makes a name that nobody can guess
        with contextlib.suppress(OSError):
            folder = Path(tempfile.mkdtemp(prefix="stormdesk-runs-", dir=parent))
            if roomy(folder):
                return folder
            folder.rmdir()
    raise OSError("there is no room for it on this machine")


def _put(path: Path, content: bytes) -> None:
    durable.make_folder(path.parent)
    path.write_bytes(content)


def _why(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
