"""Which gates are closed, and why. Each change is a GATE line in the ledger."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from typing import Any

log = logging.getLogger(__name__)

BREAKER, REPEATS = "breaker:", "repeats:"  # gates of one symbol, of one strategy
EVERY = "*"  # strategy


class Board:
    """The closed gates by name. `note` writes a line into the ledger: note(kind, client_order_id, **fields)."""

    def __init__(self, note: Callable[..., None]) -> None:
        self.closed: dict[str, str] = {}
        self.changed_at = time.monotonic()
        self._note = note

    def close(self, gate: str, reason: str) -> None:
        """Close a gate, or change the reason of a closed one."""
        if self.closed.get(gate) != reason:
            log.warning("gate %s is closed: %s", gate, reason)
            self._change(gate, on=True, reason=reason)
        self.closed[gate] = reason

    def open(self, gate: str, reason: str) -> None:
        """Open a closed gate; `reason` says who or what opened it."""
        if self.closed.pop(gate, None) is not None:
            log.warning("gate %s is open: %s", gate, reason)
            self._change(gate, on=False, reason=reason)

    def restate(self, gates: Iterable[str]) -> None:
        """Write the current state of these gates: a process that was killed could not record when one opened."""
        for gate in gates:
            reason = self.closed.get(gate)
            self._change(gate, on=reason is not None, reason=reason or "not closed")

    def reasons(self, symbol: str = "", strategy: str = "") -> list[str]:
        """Why an order must not be sent. Gates of other symbols and strategies are ignored."""
        mine = {BREAKER + symbol, REPEATS + strategy, REPEATS + EVERY}
        return [
            f"{gate}: {reason}" for gate, reason in self.closed.items()
            if not gate.startswith((BREAKER, REPEATS)) or gate in mine
        ]  # fmt: skip

    def _change(self, gate: str, **fields: Any) -> None:
        self.changed_at = time.monotonic()
        self._note("GATE", "", gate=gate, **fields)
