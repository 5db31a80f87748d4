"""The guard's files below its data folder. Blocking.

`STOP.TXT` or `global_flags.json` with SIGNAL_READ_ONLY: no new orders on this host, until a person clears it.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import msgspec

from stormdesk.durable import CorruptError, read_json, replace
from stormdesk.testnet.guard.stages import Saved, Stage


class Flags(msgspec.Struct, frozen=True):
    """global_flags.json."""

    SIGNAL_READ_ONLY: bool
    reason: str
    t: float


class Alert(msgspec.Struct, frozen=True):
    """alerts/<id>.json: an alert that a person has to answer. It is removed when the cause is cleared."""

    id: str
    t: float
    host: str
    text: str


class Files:
    """One data folder. Methods may raise OSError unless they say otherwise."""

    def __init__(self, folder: Path, host: str) -> None:
        self.folder = folder
        self.host = host
        self._stop = folder / "STOP.TXT"
        self._flags = folder / "global_flags.json"
        self._state = folder / "autoheal_state.json"

    def load(self) -> tuple[Saved, str]:
        """The saved stage, and what was wrong with the file. Never raises. If it cannot be read on a stopped host, the stage is
        FAILSAFE, because that is how the host was stopped."""
        try:
            return read_json(self._state, Saved) or Saved(), ""
        except CorruptError as error:
            stage = Stage.FAILSAFE if self.stopped() else Stage.OBSERVE
            return Saved(stage, 0, "the saved stage could not be read" if self.stopped() else ""), str(error)

    def save(self, saved: Saved) -> None:
        self._write(self._state, saved)

    def stopped(self) -> bool:
        """Whether new orders are forbidden on this host."""
        return self._stop.exists()

    def stop(self, reason: str) -> None:
        """Forbid new orders; existing files stay as they are."""
        if not self._flags.exists():
            self._write(self._flags, Flags(True, reason, time.time()))
        if not self._stop.exists():
            replace(self._stop, f"{reason}\n".encode())

    def release(self) -> None:
        """Allow new orders again."""
        self._flags.unlink(missing_ok=True)
        self._stop.unlink(missing_ok=True)

    def beat(self, stage: Stage, check_age_s: float) -> None:
        """auto_heal.heartbeat.json: the guard is alive, and how long ago its last check ended."""
        beat = {"ts": time.time(), "pid": os.getpid(), "stage": stage, "check_age_s": round(check_age_s, 3)}
        self._write(self.folder / "auto_heal.heartbeat.json", beat)

    def health(self, document: dict[str, Any]) -> None:
        self._write(self.folder / "health_v2.json", document)

    def note(self, text: str) -> None:
        """A line for people in notifications.log, on the disk when this returns."""
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "notifications.log").open("a") as out:
            out.write(f"{at} {self.host} {' '.join(text.split())}\n")
            out.flush()
            os.fsync(out.fileno())

    def alert(self, name: str, text: str) -> None:
        """Raise an alert, unless it is already raised."""
        path = self.folder / "alerts" / f"{name}.json"
        if not path.exists():
            self._write(path, Alert(name, time.time(), self.host, text))

    def answered(self, name: str) -> None:
        """Remove an alert whose cause is gone."""
        (self.folder / "alerts" / f"{name}.json").unlink(missing_ok=True)

    def alerts(self) -> list[Alert]:
        """The raised alerts, oldest first; an unreadable one appears with its error as text. Never raises."""
        found = []
        for path in sorted((self.folder / "alerts").glob("*.json")):
            try:
                alert = read_json(path, Alert)
            except CorruptError as error:
                alert = Alert(path.stem, 0.0, self.host, str(error))
            if alert is not None:
                found.append(alert)
        return sorted(found, key=lambda alert: alert.t)

    def _write(self, path: Path, document: object) -> None:
        replace(path, msgspec.json.encode(document) + b"\n")
