"""Client order ids. Pure: the same signal always gives the same id, so a retry can never be a second order."""

from __future__ import annotations

import base64
import hashlib


def client_order_id(strategy: str, signal: str) -> str:
    """`x-<strategy>-<base32(sha256(signal))[:22]>`, at most 36 characters. `strategy` has at most 11."""
    digest = base64.b32encode(hashlib.sha256(signal.encode()).digest()).decode()
    return f"x-{strategy}-{digest[:22]}"
