"""The venue's error answers. Clients match on the text, so it is Binance's, word by word."""

from __future__ import annotations


class ApiError(Exception):
    """An answer `{"code", "msg"}` with its HTTP status."""

    def __init__(self, status: int, code: int, msg: str) -> None:
        super().__init__(f"{code} {msg}")
        self.status, self.code, self.msg = status, code, msg


def missing(name: str) -> ApiError:
    return ApiError(400, -1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")


def illegal(name: str) -> ApiError:
    return ApiError(400, -1100, f"Illegal characters found in parameter '{name}'.")


def invalid(code: int, what: str) -> ApiError:
    return ApiError(400, code, f"Invalid {what}.")


def filter_failure(name: str) -> ApiError:
    return ApiError(400, -1013, f"Filter failure: {name}")


TOO_PRECISE = (400, -1111, "Parameter '{}' has too much precision.")
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
TOO_MUCH_WEIGHT = (429, -1003, "Too many requests; current limit is 6000 request weight per 1 MINUTE.")
TOO_MANY_ORDERS = (429, -1015, "Too many new orders; current limit is 50 orders per 10 SECOND.")
