"""How long the controller waits for others: `--patience N` makes every limit of its own N times as long.

Set once for each command, asked by those who wait. What keeps a host safe is never stretched: time-to-live, hold,
watchdogs, what a script on the host may take, and the second that a sample may hold up a revert.
"""

from __future__ import annotations


class _Now:
    factor = 1.0


def use(factor: float) -> None:
    """From here on limits are `factor` times as long; 1 is as written."""
    _Now.factor = factor


def scaled(seconds: float) -> float:
    """A limit of the controller's own, in seconds, as it is for this command."""
    return seconds * _Now.factor


def hint() -> str:
    """What to type when a limit was too short."""
    return f"If the host or the way to it is slow: --patience {2 * _Now.factor:g}"
