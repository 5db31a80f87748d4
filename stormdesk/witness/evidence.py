"""The interface of a witness, and its evidence. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Evidence:
    """`agrees`: whether the fault is active; None when the witness cannot tell, and `text` says why. `measured` is in the witness's
    own unit, None without a measurement."""

    agrees: bool | None
    text: str
    measured: float | None = None


class Witness(Protocol):
    """One kind of evidence."""

    def read(self, code: int, text: str) -> float | None:
        """The measurement of a command from its exit code and output; None when there is none."""

    def judge(self, before: float | None, now: float | None, expected: float) -> Evidence:
        """Judge the current measurement against the baseline and the expected value."""


def tolerance(expected: float, count: int) -> float:
    """By how many percent a share of `count` packets may miss the `expected` percent: four standard deviations, at least half of it."""
    share = expected / 100
    return max(400 * math.sqrt(share * (1 - share) / count), 50 * share)
