"""Events that a fault can wait for, as typed after `--at`: `venue:accepted:3`, `trader-a/trader:fdatasync:4`. Pure.

The thing that makes the event waits for the fault: the venue keeps its answer back, the process stops right before its system call.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Self

from stormdesk.core.errors import UsageError
from stormdesk.core.values import Duration, Value, shown

VENUE = ("accepted", "filled", "canceled")  # what a venue can keep back: its answer to a new order, a fill, a cancel
MOST = 10_000
WITHIN_S = 30.0  # how long an event may take to come
NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}"
CALL = r"[a-z][a-z0-9_]{1,30}"
KEYS = ({"venue", "nth"}, {"host", "syscall", "nth"}, {"host", "service", "syscall", "nth"})


class Event(Value, str):
    """The nth event of its kind from the arming on: `venue:WORD:N` or `HOST[/SERVICE]:SYSCALL:N`; `venue` is "" for the second,
    `host` and `syscall` for the first. Without a service it is that of the host's role, or its only one."""

    WORD = "EVENT"
    EXAMPLE = "venue:accepted:3"

    venue: str
    host: str
    service: str
    syscall: str
    nth: int

    def __new__(cls, value: str) -> Self:
        made = super().__new__(cls, value)
        if match := re.fullmatch(rf"venue:({'|'.join(VENUE)}):([0-9]{{1,9}})", value):
            made.venue, made.host, made.service, made.syscall = match[1], "", "", ""
        elif match := re.fullmatch(rf"({NAME})(?:/({NAME}))?:({CALL}):([0-9]{{1,9}})", value):
            made.venue, made.host, made.service, made.syscall = "", match[1], match[2] or "", match[3]
        else:
            raise UsageError(
                f"{shown(value)}: must be venue:WORD:N with one of {', '.join(VENUE)}, or HOST/SERVICE:SYSCALL:N, "
                f"e.g. {cls.EXAMPLE} or trader-a/trader:fdatasync:4"
            )
        made.nth = int(value.rpartition(":")[2])
        if not 1 <= made.nth <= MOST:
            raise UsageError(f"{shown(value)}: the number must be 1..{MOST}, e.g. {cls.EXAMPLE}")
        return made

    @classmethod
    def of(cls, document: object) -> Self:
        """The same from a document: the text, or `{venue: accepted, nth: 3}`, `{host: trader-a, syscall: fdatasync, nth: 4}`."""
        if isinstance(document, str):
            return cls(document)
        if not isinstance(document, Mapping) or set(document) not in KEYS:
            raise UsageError(
                f"{shown(str(document))}: must be {{venue: accepted, nth: 3}} or "
                "{host: trader-a, service: trader, syscall: fdatasync, nth: 4}"
            )
        if "venue" in document:
            return cls(f"venue:{document['venue']}:{document['nth']}")
        service = f"/{document['service']}" if "service" in document else ""
        return cls(f"{document['host']}{service}:{document['syscall']}:{document['nth']}")


class Within(Duration):
    """How long an event may take to come."""

    LOW = 1.0
    HIGH = 300.0
