"""Pauses that the venue demands: the Retry-After header, and the file that keeps them for the next process."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

import msgspec

from stormdesk import durable

FILE = "runtime/venue_wait.json"  # in the service's data folder


class Silence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`runtime/venue_wait.json`: no request before this wall-clock time, not even by the next process."""

    until_t: float


def until_t(folder: Path) -> float:
    """Until when a service with this data folder was told to wait, in seconds since 1970; 0.0 when it was not, or nobody can tell.

    The venue counts by address: what one process of a host was told applies to the others."""
    try:
        return msgspec.json.decode((folder / FILE).read_bytes(), type=Silence).until_t
    except (OSError, msgspec.DecodeError):
        return 0.0


def told(folder: Path, wait_s: float) -> None:
    """Write down that the venue wants no requests for so long. What cannot be written is known to this process alone."""
    until = time.time() + wait_s
    if until > until_t(folder):
        with suppress(OSError):
            durable.replace(folder / FILE, msgspec.json.encode(Silence(until)), mode=0o644)


def asked_s(retry_after: str) -> float | None:
    """The seconds of a Retry-After header; None when it is missing or not an integer.

    Source: RFC 9110, 10.2.3 (delay-seconds; Binance sends no dates)."""
    return float(retry_after) if retry_after.isascii() and retry_after.isdigit() else None
