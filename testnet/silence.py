"""Pauses that the venue demands: the Retry-After header, and the file that keeps them for the next process."""

from __future__ import annotations

import msgspec

FILE = "runtime/venue_wait.json"  # in the service's data folder


class Silence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`runtime/venue_wait.json`: no request before this wall-clock time, not even by the next process."""

    until_t: float


def asked_s(retry_after: str) -> float | None:
    """The seconds of a Retry-After header; None when it is missing or not an integer.

    Source: RFC 9110, 10.2.3 (delay-seconds; Binance sends no dates)."""
    return float(retry_after) if retry_after.isascii() and retry_after.isdigit() else None
