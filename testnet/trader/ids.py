"""Client order ids. Pure: the same signal always gives the same id, so a retry can never be a second order."""

from __future__ import annotations

import base64
import hashlib

PREFIX = "x-"


def client_order_id(strategy: str, epoch: int, signal: str) -> str:
    """`x-<strategy>-<epoch>-<base32(sha256(signal))[:20]>`, at most 36 characters: `strategy` has at most 6, `epoch` at
    most 6 digits. The venue's own journal shows who sent it."""
    digest = base64.b32encode(hashlib.sha256(signal.encode()).digest()).decode()
    return f"{PREFIX}{strategy}-{epoch}-{digest[:20]}"


def strategy_of(signal: str) -> str:
    """The strategy of a signal: the part before its first colon."""
    return signal.partition(":")[0]
