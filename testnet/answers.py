"""What an answer of the venue means for an order. Pure.

The rule that matters: a timeout, any 5xx and the codes -1001, -1006, -1007, -1008 do NOT say that an order was
refused. Neither does "duplicate": some order has our id. All of these are UnclearError, and the venue is queried again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from stormdesk.testnet.silence import asked_s

UNCLEAR_CODES = frozenset({-1001, -1006, -1007, -1008})
ABSENT = frozenset({-2011, -2013})


class VenueError(Exception):
    """The venue gave no usable answer."""


class RefusedError(VenueError):
    """The venue refused: nothing was done. `retry_after_s` is set when it asks for a pause."""

    def __init__(self, code: int, msg: str, retry_after_s: float = 0.0) -> None:
        super().__init__(f"{code} {msg}")
        self.code, self.retry_after_s = code, retry_after_s


class NotSentError(RefusedError):
    """Not sent, because of the venue's limits."""

    def __init__(self, msg: str, wait_s: float) -> None:
        super().__init__(0, f"not sent: {msg}", wait_s)


class UnclearError(VenueError):
    """It is unknown whether it was done. `answered`: there was an answer of some kind."""

    def __init__(self, msg: str, *, answered: bool = False) -> None:
        super().__init__(msg)
        self.answered = answered


@dataclass(frozen=True)
class Answer:
    """A raw HTTP answer."""

    status: int
    body: bytes
    retry_after: str = ""


def read(answer: Answer) -> Any:
    """The JSON document of a successful answer. Raises RefusedError or UnclearError."""
    try:
        document = msgspec.json.decode(answer.body)
    except msgspec.DecodeError:
        raise UnclearError(f"HTTP {answer.status} without JSON", answered=True) from None
    if answer.status < 300:
        return document
    if not isinstance(document, dict) or not isinstance(code := document.get("code"), int):
        raise UnclearError(f"HTTP {answer.status} without a code", answered=True)
    msg = str(document.get("msg", ""))
    if answer.status >= 500 or code in UNCLEAR_CODES or "Duplicate" in msg:
        raise UnclearError(f"HTTP {answer.status}: {code} {msg}", answered=True)
    raise RefusedError(code, msg, asked_s(answer.retry_after) or 0.0)
