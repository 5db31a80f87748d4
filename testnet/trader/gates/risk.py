"""Checks of one order before it is created. Pure: a reason to refuse, or "".

Rules (RTS 6 article 15):
1. Without a fresh, uncrossed quote near the slow price there is no reference market, so no order is sent.
2. A limit price may not be worse than the slow price by more than the collar.
3. Value and quantity have limits; an asset without a limit is not traded.
4. The sold asset must be in inventory, the paid one free. While balances are unavailable, only orders that reduce our position
   may be sent; if they were never fetched, none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from stormdesk.testnet.resilience import Risk
from stormdesk.testnet.trader.strategy import Instrument, Intent, Quote

NO_POSITION, NO_BALANCE = "SKIP_NO_POSITION", "INSUFFICIENT_BALANCE"


@dataclass(frozen=True)
class Purse:
    """Our funds. `free` is by asset, None when it was never fetched; `fresh`: it is recent enough."""

    free: Mapping[str, Decimal] | None
    fresh: bool


def market(intent: Intent, quote: Quote | None, slow: Decimal | None, numbers: Risk) -> str:
    """Rules 1 and 2."""
    if quote is None or slow is None:
        return "NO_QUOTE"
    collar = Decimal(str(numbers.collar))
    near = quote.ask if intent.side == "BUY" else quote.bid
    if abs(near - slow) > slow * collar:
        return "FLASH_PRICE"
    worse = intent.price - slow if intent.side == "BUY" else slow - intent.price
    if intent.type == "LIMIT" and worse > slow * collar:
        return "PRICE_COLLAR"
    return ""


def size(intent: Intent, instrument: Instrument, quote: Quote, numbers: Risk) -> str:
    """Rule 3."""
    if intent.qty > Decimal(str(numbers.max_order_qty.get(instrument.base, 0))):
        return "MAX_ORDER_QTY"
    if cost(intent, quote) > Decimal(str(numbers.max_order_value)):
        return "MAX_ORDER_VALUE"
    return ""


def inventory(intent: Intent, held: Decimal, on_sale: Decimal) -> str:
    """Rule 4, first half: `held` of the base asset in our own books, less what is already `on_sale`."""
    return NO_POSITION if intent.side == "SELL" and intent.qty > held - on_sale else ""


def means(intent: Intent, instrument: Instrument, quote: Quote, purse: Purse) -> str:
    """Rule 4, second half."""
    if purse.free is None:
        return "BALANCE_NEVER_FETCHED"
    if intent.side == "SELL":
        return "" if intent.qty <= purse.free.get(instrument.base, 0) else NO_BALANCE
    if not purse.fresh:
        return "BALANCE_NOT_FRESH"
    return "" if cost(intent, quote) <= purse.free.get(instrument.quote, 0) else NO_BALANCE


def cost(intent: Intent, quote: Quote) -> Decimal:
    """The order's value in the quote asset."""
    if intent.type == "LIMIT":
        return intent.qty * intent.price
    return intent.qty * (quote.ask if intent.side == "BUY" else quote.bid)
