"""What a witness is asked for, and what it says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Evidence:
    """`agrees`: is the fault in? None: the witness cannot tell, and `text` says why. `measured` is in the witness's own unit,
    None where nothing was measured."""

    agrees: bool | None
    text: str
    measured: float | None = None


class Witness(Protocol):
    """One kind of evidence."""

    def read(self, code: int, text: str) -> float | None:
        """What a command that ended with `code` and printed `text` has measured; None: nothing."""

    def judge(self, before: float | None, now: float | None, expected: float) -> Evidence:
        """What was measured before the fault and now, against what it should be now."""
