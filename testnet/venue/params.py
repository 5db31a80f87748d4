"""Reading the parameters of a request. Pure. Whatever a client sends becomes a value or Binance's error for it."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from stormdesk.testnet.venue import errors
from stormdesk.testnet.venue.market import UNIT

Params = Mapping[str, str]
DIGITS = 19  # of the largest number that a client may send, as many as 64 bits have
MAX_AMOUNT = Decimal(10) ** 12


def whole(params: Params, name: str) -> int:
    """A mandatory whole number. Raises ApiError -1102 or -1100."""
    text = params.get(name, "")
    if not text:
        raise errors.missing(name)
    if not text.isascii() or not text.isdigit() or len(text) > DIGITS:
        raise errors.illegal(name)
    return int(text)


def limit_of(params: Params, default: int, most: int) -> int:
    """How many entries a client wants, at most `most`."""
    return max(1, min(whole(params, "limit"), most)) if "limit" in params else default


def amount(params: Params, name: str) -> Decimal:
    """A mandatory positive amount. Raises ApiError -1102, -1100 or -1111."""
    text = params.get(name, "")
    if not text:
        raise errors.missing(name)
    if not text.isascii() or not text.replace(".", "", 1).isdigit() or len(text) > 2 * DIGITS:
        raise errors.illegal(name)
    value = Decimal(text)
    if value > MAX_AMOUNT:
        raise errors.illegal(name)
    if value % UNIT:
        raise errors.too_precise(name)
    return value


def in_time(params: Params, t: float) -> bool:
    """Whether an instant is within startTime and endTime (ms), as far as they are there."""
    since = whole(params, "startTime") if "startTime" in params else 0
    until = whole(params, "endTime") if "endTime" in params else None
    return since <= t * 1000 and (until is None or t * 1000 <= until)
