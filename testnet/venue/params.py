"""Reading the parameters of a request. Pure. Each becomes a value or Binance's error."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from stormdesk.testnet.venue import errors
from stormdesk.testnet.venue.errors import ApiError
from stormdesk.testnet.venue.forms import WHOLE, WINDOW, Form

Params = Mapping[str, str]
MICROSECONDS = 10**14  # an instant (since 1970) of at least this is in microseconds
DAY_MS = 86_400_000


def integer(params: Params, name: str) -> int:
    """A mandatory integer. Raises ApiError -1102, -1105, -1100 or -1108."""
    return int(_text(params, name, WHOLE))


def instant(params: Params, name: str) -> int:
    """A mandatory instant in ms since 1970; clients may send microseconds. Raises ApiError as `integer` does."""
    value = integer(params, name)
    return value // 1000 if value >= MICROSECONDS else value


def window_ms(params: Params, default: int) -> Decimal:
    """recvWindow. Raises ApiError -1105, -1100, -1108 or -1111."""
    return Decimal(_text(params, "recvWindow", WINDOW)) if "recvWindow" in params else Decimal(default)


def amount(params: Params, name: str) -> Decimal:
    """An amount that has already been validated; 0 when it was not sent."""
    return Decimal(params.get(name, "0"))


def limit_of(params: Params, default: int, most: int) -> int:
    """The requested number of entries, at most `most`. Raises ApiError -1102 for 0."""
    if "limit" not in params:
        return default
    if not (limit := integer(params, "limit")):
        raise errors.missing("limit")
    return min(limit, most)


def in_time(params: Params, t: float) -> bool:
    """Whether an instant is within startTime and endTime, if given."""
    since = instant(params, "startTime") if "startTime" in params else 0
    until = instant(params, "endTime") if "endTime" in params else None
    return since <= t * 1000 and (until is None or t * 1000 <= until)


def check_day(params: Params) -> None:
    """Raise ApiError -1127 when startTime and endTime are more than 24 hours apart."""
    both = "startTime" in params and "endTime" in params
    if both and instant(params, "endTime") - instant(params, "startTime") > DAY_MS:
        raise ApiError(*errors.TOO_LONG)


def is_true(params: Params, name: str) -> bool:
    """A boolean that was sent and is true."""
    return params.get(name, "").lower() == "true"


def _text(params: Params, name: str, form: Form) -> str:
    text = params.get(name)
    if text is None:
        raise errors.missing(name)
    if not text:
        raise errors.empty(name)
    if refusal := form.refusal(name, text):
        raise refusal
    return text
