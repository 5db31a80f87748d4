"""Request signatures. Pure; Binance's rules: HMAC-SHA256 in hex over the query string and the body, joined without a
separator, without `signature`; a timestamp is valid when it is at most 1 s ahead and at most recvWindow old."""

from __future__ import annotations

import hmac
from base64 import b64decode
from urllib.parse import unquote

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from stormdesk.testnet.venue import errors
from stormdesk.testnet.venue.errors import ApiError
from stormdesk.testnet.venue.keys import Account
from stormdesk.testnet.venue.params import Params, instant, window_ms

DEFAULT_WINDOW_MS = 5_000
MAX_WINDOW_MS = 60_000
AHEAD_MS = 1_000


def sign(secret: str, payload: str) -> str:
    """The signature of a payload, 64 hex digits."""
    return _hmac(secret, payload.encode()).decode()


def without_signature(raw: str) -> str:
    """A raw query string or form body without the `signature` parameter, otherwise unchanged."""
    return "&".join(part for part in raw.split("&") if not part.startswith("signature="))


def check_signature(account: Account, payload: str, given: str) -> None:
    """Raise ApiError -1022 unless `given` signs the payload: HMAC-SHA256 in hex of either case, or Ed25519 in base64
    when the account has a public key."""
    data = payload.encode(errors="surrogateescape")
    if account.public_key:
        good = _signed_by(account.public_key, data, given)
    else:
        good = hmac.compare_digest(_hmac(account.api_secret, data), given.lower().encode())
    if not good:
        raise ApiError(*errors.BAD_SIGNATURE)


def _hmac(secret: str, data: bytes) -> bytes:
    return hmac.digest(secret.encode(), data, "sha256").hex().encode()


def _signed_by(public_key: str, data: bytes, given: str) -> bool:
    key = load_pem_public_key(public_key.encode())
    assert isinstance(key, Ed25519PublicKey)
    try:
        key.verify(b64decode(unquote(given), validate=True), data)
    except (InvalidSignature, ValueError):
        return False
    return True


def check_window(params: Params, now_ms: int) -> None:
    """Raise ApiError -1021 (or -1102, -1105, -1100, -1131) unless the request's timestamp is inside its window."""
    stamp, window = instant(params, "timestamp"), window_ms(params, DEFAULT_WINDOW_MS)
    if window > MAX_WINDOW_MS:
        raise ApiError(*errors.RECV_WINDOW)
    if stamp >= now_ms + AHEAD_MS:
        raise ApiError(*errors.TOO_EARLY)
    if now_ms - stamp > window:
        raise ApiError(*errors.TOO_LATE)
