"""Which parameters each type of order needs, may have and must not have, and what the venue's symbols allow.
Pure data and one check."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from stormdesk.testnet.venue import errors
from stormdesk.testnet.venue.errors import ApiError
from stormdesk.testnet.venue.market import ORDER_TYPES, STP_MODES
from stormdesk.testnet.venue.params import Params

MIN_STRATEGY_TYPE = 1_000_000


@dataclass(frozen=True, slots=True)
class Rule:
    """`needs` all, at least one of `either`, takes `may`; every other parameter of `BY_TYPE` is refused."""

    needs: tuple[str, ...]
    either: tuple[str, ...] = ()
    may: tuple[str, ...] = ()
    called: str = ""  # the name in the answer "not supported for this symbol"


TRIGGER = ("stopPrice", "trailingDelta")
PRICED = ("timeInForce", "quantity", "price")
BY_TYPE = ("timeInForce", "quantity", "quoteOrderQty", "price", "stopPrice", "trailingDelta", "icebergQty")
RULES = {
    "LIMIT": Rule(PRICED, may=("icebergQty",)),
    "LIMIT_MAKER": Rule(("quantity", "price"), may=("icebergQty",)),
    "MARKET": Rule((), ("quantity", "quoteOrderQty")),
    "STOP_LOSS": Rule(("quantity",), TRIGGER, called="Stop loss"),
    "STOP_LOSS_LIMIT": Rule(PRICED, TRIGGER, ("icebergQty",), "Stop loss limit"),
    "TAKE_PROFIT": Rule(("quantity",), TRIGGER, called="Take profit"),
    "TAKE_PROFIT_LIMIT": Rule(PRICED, TRIGGER, ("icebergQty",), "Take profit limit"),
}
PEGGED = ("LIMIT", "LIMIT_MAKER", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT")
ZERO = {
    "quantity": "Invalid quantity.",
    "quoteOrderQty": "Invalid quote order qty.",
    "price": "Invalid price.",
    "stopPrice": "Invalid stopPrice.",
    "trailingDelta": "Invalid trailingDelta.",
    "icebergQty": "Invalid icebergQty.",
}


def check_order(params: Params) -> None:
    """Raise ApiError unless the parameters of a new order fit its type and the symbol. Their forms are already checked."""
    kind = params["type"]
    _check_peg(kind, params)
    _check_type(RULES[kind], params)
    for name, msg in ZERO.items():
        if name in params and not Decimal(params[name]):
            raise errors.rejected(msg)
    if int(params.get("strategyType", MIN_STRATEGY_TYPE)) < MIN_STRATEGY_TYPE:
        raise ApiError(*errors.STRATEGY_TYPE)
    if "icebergQty" in params and params.get("timeInForce", "GTC") != "GTC":
        raise ApiError(*errors.ORDER_COMBINATION)
    _check_symbol(kind, params)


def _check_type(rule: Rule, params: Params) -> None:
    for name in rule.needs:
        if name not in params:
            raise errors.missing(name)
    if rule.either and not any(name in params for name in rule.either):
        raise errors.neither(*rule.either)
    for name in BY_TYPE:
        if name in params and name not in (*rule.needs, *rule.either, *rule.may):
            raise errors.not_required(name)
    if "quantity" in rule.either and all(name in params for name in rule.either):
        raise errors.not_required("quoteOrderQty")


def _check_peg(kind: str, params: Params) -> None:
    """Orders whose price follows the book. They need no price, so this comes first."""
    if "pegPriceType" in params:
        allowed = kind in PEGGED
        supported = "Pegged orders are not supported for this symbol."
        raise errors.rejected(supported if allowed else "This order type may not use pegged price.")
    if "pegOffsetType" in params or "pegOffsetValue" in params:
        raise ApiError(*errors.BAD_COMBINATION)


def _check_symbol(kind: str, params: Params) -> None:
    """Features that the venue's symbols do not support, as in exchangeInfo."""
    if "trailingDelta" in params:
        raise errors.rejected("Trailing stop orders are not supported for this symbol.")
    if kind not in ORDER_TYPES:
        raise errors.rejected(f"{RULES[kind].called} orders are not supported for this symbol.")
    if "icebergQty" in params:
        raise errors.rejected("Iceberg orders are not supported for this symbol.")
    if params.get("selfTradePreventionMode", STP_MODES[0]) not in STP_MODES:
        raise errors.rejected("This symbol does not allow the specified self-trade prevention mode.")
