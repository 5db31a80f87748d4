"""The parameters of each endpoint, and Binance's answer to a request that does not fit. Pure data and one check.

A request is checked in Binance's order: too many parameters, then each in turn (empty, malformed, missing), then unknown ones.
Rules that depend on the type of an order are in `order_parameters.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from stormdesk.testnet.venue import errors
from stormdesk.testnet.venue.forms import FORMS, TICKER, Form
from stormdesk.testnet.venue.params import Params

SOCKET = ("apiKey", "returnRateLimits")  # on the WebSocket API
SIGNED = ("recvWindow", "timestamp", "signature")
ORDER = (
    "timeInForce", "quantity", "quoteOrderQty", "price", "newClientOrderId", "strategyId", "strategyType", "stopPrice",
    "trailingDelta", "icebergQty", "newOrderRespType", "selfTradePreventionMode", "pegPriceType", "pegOffsetValue",
    "pegOffsetType",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Reads:
    """The parameters of one endpoint, in the order in which they are read; without those of the signature."""

    mandatory: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    forms: Mapping[str, Form] = field(default_factory=dict)  # where they differ from the parameter's usual form


def _reads(mandatory: str = "", optional: str = "") -> Reads:
    return Reads(tuple(mandatory.split()), tuple(optional.split()))


_PAGE = "fromId startTime endTime limit"
_TICKERS = "symbol symbols symbolStatus"
_NEW_ORDER = ("symbol", "side", "type")
READS: dict[tuple[str, str], Reads] = {
    ("GET", "ping"): _reads(),
    ("GET", "time"): _reads(),
    ("GET", "exchangeInfo"): _reads("", "symbol symbols permissions showPermissionSets symbolStatus"),
    ("GET", "depth"): _reads("symbol", "limit symbolStatus"),
    ("GET", "trades"): _reads("symbol", "limit"),
    ("GET", "historicalTrades"): _reads("symbol", "limit fromId"),
    ("GET", "aggTrades"): _reads("symbol", _PAGE),
    ("GET", "klines"): _reads("symbol interval", "startTime endTime timeZone limit"),
    ("GET", "avgPrice"): _reads("symbol"),
    ("GET", "ticker/24hr"): Reads((), (*_TICKERS.split(), "type"), {"type": TICKER}),
    ("GET", "ticker/price"): _reads("", _TICKERS),
    ("GET", "ticker/bookTicker"): _reads("", _TICKERS),
    ("POST", "userDataStream"): _reads(),
    ("PUT", "userDataStream"): _reads("listenKey"),
    ("DELETE", "userDataStream"): _reads("listenKey"),
    ("GET", "account"): _reads("", "omitZeroBalances"),
    ("GET", "order"): _reads("symbol", "orderId origClientOrderId"),
    ("GET", "openOrders"): _reads("", "symbol"),
    ("GET", "allOrders"): _reads("symbol", "orderId startTime endTime limit"),
    ("GET", "myTrades"): _reads("symbol", f"orderId {_PAGE}"),
    ("GET", "rateLimit/order"): _reads(),
    ("GET", "asset/tradeFee"): _reads("", "symbol"),
    ("POST", "order"): Reads(_NEW_ORDER, ORDER),
    ("POST", "order/test"): Reads(_NEW_ORDER, (*ORDER, "computeCommissionRates")),
    ("DELETE", "order"): _reads("symbol", "orderId origClientOrderId newClientOrderId cancelRestrictions"),
    ("DELETE", "openOrders"): _reads("symbol"),
}


def check(reads: Reads, params: Params, own: tuple[str, ...] = ()) -> None:
    """Raise ApiError unless a request's parameters fit the endpoint; `own` are those that identify the sender."""
    known = (*reads.mandatory, *reads.optional, *own)
    if len(params) > len(known):
        raise errors.too_many_parameters(len(known), len(params))
    for name in (*reads.mandatory, *reads.optional):
        text = params.get(name)
        if text is None:
            if name in reads.mandatory:
                raise errors.missing(name)
            continue
        if not text:
            raise errors.empty(name)
        form = reads.forms.get(name) or FORMS.get(name)
        if form and (refusal := form.refusal(name, text)):
            raise refusal
    read = sum(name in params for name in known)
    if read < len(params):
        raise errors.unread(read, len(params))
