"""The venue's error answers. Clients match on the text, so it is exactly Binance's."""

from __future__ import annotations

import math


class ApiError(Exception):
    """An answer `{"code", "msg"}` with its HTTP status."""

    def __init__(self, status: int, code: int, msg: str) -> None:
        super().__init__(f"{code} {msg}")
        self.status, self.code, self.msg = status, code, msg


class ThrottledError(ApiError):
    """429 or 418: the client must wait until `until` (seconds since 1970). `early`: it had already been told to."""

    def __init__(
        self, status: int, msg: str, now: float, until: float, code: int = -1003, *, early: bool = False
    ) -> None:
        super().__init__(status, code, msg)
        self.until, self.early = until, early
        self.retry_after_s = max(1, math.ceil(until - now))


def missing(name: str) -> ApiError:
    return ApiError(400, -1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")


def neither(one: str, other: str) -> ApiError:
    return ApiError(400, -1102, f"Param '{one}' or '{other}' must be sent, but both were empty/null!")


def illegal(name: str, legal: str = "") -> ApiError:
    """-1100; `legal` is the range of characters, where there is one."""
    rule = f"; legal range is '{legal}'" if legal else ""
    return ApiError(400, -1100, f"Illegal characters found in parameter '{name}'{rule}.")


def too_many_parameters(expected: int, received: int) -> ApiError:
    return ApiError(400, -1101, f"Too many parameters; expected '{expected}' and received '{received}'.")


def unread(read: int, sent: int) -> ApiError:
    return ApiError(400, -1104, f"Not all sent parameters were read; read '{read}' parameter(s) but was sent '{sent}'.")


def empty(name: str) -> ApiError:
    return ApiError(400, -1105, f"Parameter '{name}' was empty.")


def not_required(name: str) -> ApiError:
    return ApiError(400, -1106, f"Parameter '{name}' sent when not required.")


def overflow(name: str) -> ApiError:
    return ApiError(400, -1108, f"Parameter '{name}' overflowed.")


def not_valid(name: str) -> ApiError:
    return ApiError(400, -1130, f"Data sent for parameter '{name}' is not valid.")


def rejected(msg: str) -> ApiError:
    """An order that the API refuses before it reaches the engine."""
    return ApiError(400, -1013, msg)


def filter_failure(name: str) -> ApiError:
    return ApiError(400, -1013, f"Filter failure: {name}")


def too_precise(name: str) -> ApiError:
    return ApiError(400, -1111, f"Parameter '{name}' has too much precision.")


def too_much_weight(limit: int) -> str:
    return (
        f"Too much request weight used; current limit is {limit} request weight per 1 MINUTE. "
        "Please use WebSocket Streams for live updates to avoid polling the API."
    )


def too_many_requests(limit: int) -> str:
    return f"Too many requests; current limit is {limit} raw requests per 5 MINUTE."


def too_many_orders(limit: int, interval: str) -> str:
    return f"Too many new orders; current limit is {limit} orders per {interval}."


def banned(until: float) -> str:
    return (
        f"Way too much request weight used; IP banned until {int(until * 1000)}. "
        "Please use WebSocket Streams for live updates to avoid bans."
    )


TOO_EARLY_AGAIN = "Too many requests; please wait as long as Retry-After says."
TOO_MANY_CONNECTS = "Too many connections; current limit is 300 connections per 5 MINUTE."
DUPLICATES = (400, -1101, "Duplicate values for a parameter detected.")
BAD_COMBINATION = (400, -1128, "Combination of optional parameters invalid.")
ORDER_COMBINATION = (400, -1014, "Unsupported order combination.")
TOO_LONG = (400, -1127, "More than 24 hours between startTime and endTime.")
STRATEGY_TYPE = (400, -1134, "strategyType was less than 1000000.")
SYMBOL_TWICE = (400, -1151, "Symbol is present multiple times in the list.")
OTHER_STATUS = (400, -1220, "The symbol's status does not match the requested symbolStatus.")
RESTRICTED = (400, -2011, "Order was not canceled due to cancel restrictions.")
OTHER_ID = (400, -2039, "Client order ID is not correct for this order ID.")
SUBSCRIBED = (400, -2035, "User Data Stream subscription already active.")
NOT_SUBSCRIBED = (400, -2036, "User Data Stream subscription not active.")
NO_LIQUIDITY = (400, -2010, "Order book liquidity is less than symbol minimum quantity.")
BAD_SYMBOL = (400, -1121, "Invalid symbol.")
KEY_FORMAT = (401, -2014, "API-key format invalid.")
BAD_KEY = (401, -2015, "Invalid API-key, IP, or permissions for action.")
BAD_SIGNATURE = (400, -1022, "Signature for this request is not valid.")
TOO_LATE = (400, -1021, "Timestamp for this request is outside of the recvWindow.")
TOO_EARLY = (400, -1021, "Timestamp for this request was 1000ms ahead of the server's time.")
RECV_WINDOW = (400, -1131, "recvWindow must be less than 60000.")
NO_FUNDS = (400, -2010, "Account has insufficient balance for requested action.")
DUPLICATE = (400, -2010, "Duplicate order sent.")
WOULD_MATCH = (400, -2010, "Order would immediately match and take.")
UNKNOWN_CANCEL = (400, -2011, "Unknown order sent.")
NO_SUCH_ORDER = (400, -2013, "Order does not exist.")
NO_LISTEN_KEY = (400, -1125, "This listenKey does not exist.")
NOT_FOUND = (404, -1000, "Not Found")
NO_UPGRADE = (400, -1000, "This path is a WebSocket.")
WRONG_METHOD = (405, -1000, "Method Not Allowed")
INTERVAL = (400, -1120, "Invalid interval.")
BAD_JSON = (400, -1135, "Invalid JSON Request")
HMAC_LOGON = (400, -4056, "HMAC_SHA256 API key is not supported.")
NOT_LOGGED_ON = (400, -1022, "This session is not authenticated.")
