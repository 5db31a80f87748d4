"""state_bus.json and its backup. Blocking.

The orchestrator is the only writer: any other content is moved to `state_bus.json.rejected`, an alert is raised, and the file
is restored from the known state.
"""

from __future__ import annotations

import time
from pathlib import Path

import msgspec

from stormdesk.durable import CorruptError, read_json, replace
from stormdesk.testnet.orchestrator.state import State

INVALID = "state_bus_invalid"


class StateFile:
    """The file in `folder`. `state` is its content; `defaulted`: there was a file, but nothing could be loaded."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "state_bus.json"
        self.backup = folder / "state_bus.json.bak"
        self.alert = folder / "alerts" / f"{INVALID}.json"
        self.rejected = 0
        self.defaulted = False
        self._written = b""
        self.state = self._load()

    def write(self, state: State) -> None:
        """Store `state`. Raises ValueError when it does not match the schema, OSError when it cannot be written; the file is
        then unchanged."""
        data = msgspec.json.encode(state)
        try:
            msgspec.json.decode(data, type=State)
        except msgspec.DecodeError as error:
            raise ValueError(f"not a state: {error}") from error
        if self._written:
            replace(self.backup, self._written)
        replace(self.path, data)
        self.state, self._written = state, data

    def check(self) -> str:
        """Check that the file is as we wrote it, and restore it; returns what was wrong, or "". Raises OSError when it cannot."""
        try:
            found = self.path.read_bytes()
        except OSError as error:
            found, why = b"", f"{error}"
        else:
            if found == self._written:
                return ""
            why = _fault(found)
        self._reject(found, why)
        replace(self.path, self._written)
        return why

    def answered(self) -> None:
        """Clear the alert: a person has seen it."""
        self.alert.unlink(missing_ok=True)

    def _load(self) -> State:
        """The file, else its backup, else the default. Never raises because of their content."""
        state: State | None = None
        wrong = []
        for path in (self.path, self.backup):
            try:
                state = read_json(path, State)
            except CorruptError as error:
                wrong.append(str(error))
            if state is not None:
                break
        if wrong:
            self._reject(self.path.read_bytes() if self.path.is_file() else b"", "; ".join(wrong))
        self.defaulted = state is None and bool(wrong)
        state = state or State()
        self.write(state)
        return state

    def _reject(self, found: bytes, why: str) -> None:
        self.rejected += 1
        if found:
            replace(self.path.with_suffix(".json.rejected"), found)
        document = {
            "id": INVALID,
            "t": time.time(),
            "text": f"{self.path.name} was not ours: {why}",
            "path": str(self.path),
        }
        replace(self.alert, msgspec.json.encode(document) + b"\n")


def _fault(found: bytes) -> str:
    """What is wrong with a file that we did not write."""
    try:
        msgspec.json.decode(found, type=State)
    except msgspec.DecodeError as error:
        return str(error)
    return "somebody else wrote a state into it"
