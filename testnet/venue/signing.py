"""Request signatures. Pure; Binance's rules: HMAC-SHA256 in hex over the query string and the body, joined without a
separator, `signature` itself left out; a timestamp counts when it is at most 1 s ahead and at most recvWindow old."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping

from stormdesk.testnet.venue import errors
from stormdesk.testnet.venue.errors import ApiError

DEFAULT_WINDOW_MS = 5_000
MAX_WINDOW_MS = 60_000
AHEAD_MS = 1_000


def sign(secret: str, payload: str) -> str:
    """The signature of a payload, 64 hex digits."""
    return hmac.new(secret.encode(), payload.encode(), hashlib.sha256).hexdigest()


def without_signature(raw: str) -> str:
    """A raw query string or form body with the `signature` parameter taken out, all else untouched."""
    return "&".join(part for part in raw.split("&") if not part.startswith("signature="))


def check_signature(secret: str, payload: str, given: str) -> None:
    """Raise ApiError -1022 unless `given` signs the payload (the case of hex digits does not matter)."""
    if not hmac.compare_digest(sign(secret, payload), given.lower()):
        raise ApiError(*errors.BAD_SIGNATURE)


def check_window(params: Mapping[str, str], now_ms: int) -> None:
    """Raise ApiError -1021 (or -1102, -1131) unless the request's timestamp is inside its window."""
    stamp = whole(params, "timestamp")
    window = whole(params, "recvWindow") if "recvWindow" in params else DEFAULT_WINDOW_MS
    if window > MAX_WINDOW_MS:
        raise ApiError(*errors.RECV_WINDOW)
    if stamp >= now_ms + AHEAD_MS:
        raise ApiError(*errors.TOO_EARLY)
    if now_ms - stamp > window:
        raise ApiError(*errors.TOO_LATE)


def whole(params: Mapping[str, str], name: str) -> int:
    """A mandatory whole number of a request. Raises ApiError -1102 or -1100."""
    text = params.get(name, "")
    if not text:
        raise errors.missing(name)
    if not text.isascii() or not text.isdigit():
        raise errors.illegal(name)
    return int(text)
