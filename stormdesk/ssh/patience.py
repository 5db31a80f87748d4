"""The controller's patience: `--patience N` multiplies each of its own limits by N.

Set once per command. It never changes what keeps a host safe: time-to-live, hold, watchdogs, the time limit of a script on the
host, and the one second by which a sample may delay a revert.
"""

from __future__ import annotations


class _Now:
    factor = 1.0


def use(factor: float) -> None:
    """From now on, multiply limits by `factor`."""
    _Now.factor = factor


def scaled(seconds: float) -> float:
    """One of the controller's limits, in seconds, for this command."""
    return seconds * _Now.factor


def hint() -> str:
    """The hint for a limit that was too short."""
    return f"If the host or the way to it is slow: --patience {2 * _Now.factor:g}"
