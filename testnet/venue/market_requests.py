"""Requests on a market stream, and the existing streams. Pure. Errors have Binance's texts."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

METHODS = ("SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY")
KINDS = ("trade", "aggTrade", "bookTicker", "depth", "depth@100ms", "ticker", "miniTicker", "kline_1m")
PROPERTY = "combined"
MAX_ID = 2**63
ID_TEXT = re.compile("[a-zA-Z0-9_-]{1,36}")
SHOWN = 80  # characters of a client's input that an answer repeats


class BadRequestError(Exception):
    """The answer `{"error": {"code", "msg"}, "id"}`: 3 for what is no JSON, 2 for what is no request, 0 and 1 for a
    property."""

    def __init__(self, code: int, msg: str, request_id: int | str | None = None) -> None:
        super().__init__(msg)
        self.code, self.msg, self.request_id = code, msg, request_id


@dataclass(frozen=True, slots=True)
class MarketRequest:
    """A valid request: the names of streams, or a property and its value."""

    method: str
    request_id: int | str | None
    params: Sequence[Any] = ()


def is_stream(name: str, symbols: Collection[str]) -> bool:
    """Whether the market stream exists. Names are in lower case up to the first @."""
    symbol, _, kind = name.partition("@")
    return kind in KINDS and symbol == symbol.lower() and symbol.upper() in symbols


def unknown_stream(name: str) -> str:
    return f"Invalid request: unknown stream `{name[:SHOWN]}`"


def read(text: str) -> MarketRequest:
    """The request in a message. Raises BadRequestError."""
    asked = _object(text)
    end = f"at line 1 column {len(text)}"
    request_id = asked.get("id")
    known_id = request_id if _is_id(request_id) else None
    if "method" not in asked:
        raise BadRequestError(2, f"Invalid request: missing field `method` {end}", known_id)
    method = asked["method"]
    if method not in METHODS:
        shown, names = str(method)[:SHOWN], ", ".join(f"`{name}`" for name in METHODS)
        raise BadRequestError(2, f"Invalid request: unknown variant `{shown}`, expected one of {names} {end}", known_id)
    if "id" not in asked or not _is_id(request_id):
        raise BadRequestError(2, "Invalid request: request ID must be an unsigned integer")
    params = asked.get("params")
    if params is None and method in ("SUBSCRIBE", "UNSUBSCRIBE"):
        raise BadRequestError(2, f"Invalid request: missing field `params` {end}", request_id)
    params = [] if params is None else params
    if not isinstance(params, list):
        raise BadRequestError(2, f"Invalid request: invalid type for `params`, expected a sequence {end}", request_id)
    if wrong := _wrong(method, params):
        raise BadRequestError(*wrong, request_id)
    return MarketRequest(method, request_id, params)


def _object(text: str) -> dict[str, Any]:
    try:
        asked = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise BadRequestError(3, f"Invalid JSON: expected value at {_place(text)}") from None
    if not isinstance(asked, dict):
        raise BadRequestError(2, f"Invalid request: invalid type, expected an object at line 1 column {len(text)}")
    return asked


def _place(text: str) -> str:
    """The position at which a text is no longer JSON."""
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        return f"line {error.lineno} column {error.colno}"
    except (ValueError, RecursionError):
        pass
    return f"line 1 column {len(text)}"


def _is_id(value: object) -> bool:
    if isinstance(value, str):
        return ID_TEXT.fullmatch(value) is not None
    if isinstance(value, int) and not isinstance(value, bool):
        return -MAX_ID <= value < MAX_ID
    return value is None


def _wrong(method: str, params: Sequence[Any]) -> tuple[int, str] | None:
    """What is wrong with the parameters of a method."""
    if method in ("SUBSCRIBE", "UNSUBSCRIBE"):
        fine = all(isinstance(name, str) for name in params)
        return None if fine else (2, "Invalid request: stream name must be a string")
    expected = ("LIST_SUBSCRIPTIONS", "GET_PROPERTY", "SET_PROPERTY").index(method)
    if len(params) > expected:
        return 2, "Invalid request: too many parameters"
    if expected and not (params and isinstance(params[0], str)):
        return 2, "Invalid request: property name must be a string"
    if expected and params[0] != PROPERTY:
        return 0, "Unknown property"
    if method == "SET_PROPERTY" and not (len(params) == expected and isinstance(params[1], bool)):
        return 1, "Invalid value type: expected Boolean"
    return None
