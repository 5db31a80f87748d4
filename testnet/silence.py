"""How long the venue wants no request from us: how it says so, and the file that lets the next process know."""

from __future__ import annotations

import msgspec

FILE = "runtime/venue_wait.json"  # in the service's data folder


class Silence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`runtime/venue_wait.json`: no request before this wall-clock time, not even by the next process."""

    until_t: float


def asked_s(retry_after: str) -> float | None:
    """The seconds that a Retry-After header asks for; None when it is missing or no whole number.

    Source: RFC 9110, 10.2.3 (delay-seconds; Binance sends no dates)."""
    return float(retry_after) if retry_after.isascii() and retry_after.isdigit() else None
