"""Waiting until a service shows the effect of a command."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from stormdesk.ssh import patience

SETTLE_S = 30.0  # until what was told to a service shows
LOOK_S = 0.3
Seen = TypeVar("Seen")


def settled(look: Callable[[], Seen], good: Callable[[Seen], bool], within_s: float) -> Seen:
    """What was seen when it was good, or last before the time was over."""
    until = time.monotonic() + patience.scaled(within_s)
    while True:
        seen = look()
        if good(seen) or time.monotonic() > until:
            return seen
        time.sleep(LOOK_S)
