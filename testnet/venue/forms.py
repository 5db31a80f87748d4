"""The form of each parameter: its valid values, and Binance's answer to others. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from stormdesk.testnet.venue import errors
from stormdesk.testnet.venue.errors import ApiError

MAX_LONG = 2**63 - 1
PLACES = 8  # of an amount
MAX_AMOUNT = Decimal(MAX_LONG).scaleb(-PLACES)
WINDOW_PLACES = 3  # of recvWindow: microseconds


class Form(Protocol):
    """The rule for a parameter's value."""

    def refusal(self, name: str, text: str) -> ApiError | None:
        """The answer to a value that is not empty, or None when it is valid."""


@dataclass(frozen=True, slots=True)
class Range:
    """A value of certain characters; `shown` is the rule in Binance's notation."""

    pattern: re.Pattern[str]
    shown: str

    def refusal(self, name: str, text: str) -> ApiError | None:
        return None if self.pattern.fullmatch(text) else errors.illegal(name, self.shown)


@dataclass(frozen=True, slots=True)
class Whole:
    """An integer of at most 64 bits."""

    digits: Range

    def refusal(self, name: str, text: str) -> ApiError | None:
        return self.digits.refusal(name, text) or (errors.overflow(name) if int(text) > MAX_LONG else None)


@dataclass(frozen=True, slots=True)
class Amount:
    """A decimal number with a maximum of places. No sign, no exponent."""

    digits: Range
    places: int

    def refusal(self, name: str, text: str) -> ApiError | None:
        if refusal := self.digits.refusal(name, text):
            return refusal
        if Decimal(text) > MAX_AMOUNT:
            return errors.overflow(name)
        return errors.too_precise(name) if len(text.partition(".")[2]) > self.places else None


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few words, in exactly this spelling."""

    words: frozenset[str]
    code: int = -1130
    msg: str = ""  # else: the data sent for the parameter is not valid

    def refusal(self, name: str, text: str) -> ApiError | None:
        if text in self.words:
            return None
        return ApiError(400, self.code, self.msg) if self.msg else errors.not_valid(name)


def _range(pattern: str) -> Range:
    return Range(re.compile(pattern.strip("^$"), re.ASCII), pattern)


def _choice(words: str, code: int = -1130, msg: str = "") -> Choice:
    return Choice(frozenset(words.split()), code, msg)


_DECIMAL = _range(r"^([0-9]{1,20})(\.[0-9]{1,20})?$")
WHOLE = Whole(_range("^[0-9]{1,20}$"))
AMOUNT = Amount(_DECIMAL, PLACES)
WINDOW = Amount(_DECIMAL, WINDOW_PLACES)
SYMBOL = Range(re.compile(r"(?:(?![a-z])[\w\-.]){1,50}"), r"^[\w\-._&&[^a-z]]{1,50}$")
CLIENT_ID = _range("^[a-zA-Z0-9-_]{1,36}$")
BOOLEAN = _choice("true false TRUE FALSE True False")

FORMS: dict[str, Form] = {
    "symbol": SYMBOL,
    "side": _choice("BUY SELL", -1117, "Invalid side."),
    "type": _choice(
        "LIMIT LIMIT_MAKER MARKET STOP_LOSS STOP_LOSS_LIMIT TAKE_PROFIT TAKE_PROFIT_LIMIT", -1116, "Invalid orderType."
    ),
    "timeInForce": _choice("GTC IOC FOK", -1115, "Invalid timeInForce."),
    "newOrderRespType": _choice("ACK RESULT FULL"),
    "selfTradePreventionMode": _choice("NONE EXPIRE_MAKER EXPIRE_TAKER EXPIRE_BOTH DECREMENT TRANSFER"),
    "pegPriceType": _choice("PRIMARY_PEG MARKET_PEG", -1210, "Invalid pegPriceType."),
    "pegOffsetType": _choice("PRICE_LEVEL", -1211, "Invalid pegOffsetType."),
    "cancelRestrictions": _choice("ONLY_NEW ONLY_PARTIALLY_FILLED", -1145, "Invalid cancelRestrictions"),
    "symbolStatus": _choice("TRADING HALT BREAK", -1122, "Invalid symbolStatus."),
    "timeZone": _choice("0 +0 00 +00 0:00 00:00 +00:00 -00:00"),  # candles of this venue begin in UTC only
    "listenKey": _range("^[a-zA-Z0-9]{1,60}$"),
    "recvWindow": WINDOW,
}  # by parameter; others take any text, and their handlers parse it
for _form, _names in (
    (WHOLE, "orderId fromId startTime endTime limit timestamp strategyId strategyType trailingDelta pegOffsetValue"),
    (AMOUNT, "quantity quoteOrderQty price stopPrice icebergQty"),
    (CLIENT_ID, "newClientOrderId origClientOrderId"),
    (BOOLEAN, "omitZeroBalances computeCommissionRates showPermissionSets"),
):
    FORMS |= dict.fromkeys(_names.split(), _form)
TICKER = _choice("FULL MINI", -1139, "Invalid ticker type.")  # the parameter `type` of tickers
