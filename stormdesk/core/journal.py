"""The lines of the run record: one JSON object each, with a checksum, so that torn or altered lines are detected. Pure.

docs/formats/run-record.md lists the events.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from stormdesk.core.errors import UsageError

Event = Mapping[str, Any]


def _canonical(event: Event) -> bytes:
    return json.dumps(event, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def encode(event: Event) -> bytes:
    """One line with its `sum`, newline included."""
    checksum = hashlib.sha256(_canonical(event)).hexdigest()[:8]
    return _canonical({**event, "sum": checksum}) + b"\n"


def decode(line: bytes) -> Event | None:
    """The event of a line, or None if the line is torn or altered."""
    try:
        event = json.loads(line)
        checksum = event.pop("sum")
        right = checksum == _sum_of_text(line, checksum) or checksum == _sum(_canonical(event))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return event if right else None


def _sum(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:8]


def _sum_of_text(line: bytes, checksum: object) -> str:
    """The checksum of a line as it was written, without making its canonical form again: that takes longer than reading it."""
    return _sum(line.rstrip(b"\n").replace(b',"sum":"%b"' % str(checksum).encode(), b"", 1))


def read(data: bytes, origin: str) -> list[Event]:
    """All events of a record. A torn last line is dropped: the writer died while writing it. Any other bad line raises UsageError, and
    so do numbers that are missing. A line more than once is none of these: two writers may have met where files cannot be locked.
    """
    events: list[Event] = []
    last = 0
    lines = data.split(b"\n")
    for number, line in enumerate(lines, 1):
        if not line:
            continue
        event = decode(line)
        if event is not None:
            seq = event.get("seq")
            if isinstance(seq, int) and seq > last + 1:
                raise UsageError(
                    f"{origin}:{number}: lines before this one are missing ({last + 1} to {seq - 1}); the record cannot be trusted"
                )
            last = max(last, seq) if isinstance(seq, int) else last
            events.append(event)
        elif number < len(lines):
            raise UsageError(f"{origin}:{number}: this line was altered or damaged; the record cannot be trusted")
    return events


def mended(data: bytes) -> tuple[int, bytes]:
    """How many bytes of a record to keep, and what to append, before lines are added.

    A partial last line, left by a dead writer or a power loss (zeros too), is dropped; a complete one gets its newline.
    """
    start = data.rfind(b"\n") + 1
    last = data[start:].rstrip(b"\0")
    if last and decode(last) is not None:
        return start + len(last), b"\n"
    return start, b""
