"""Symbols and their filters. Pure. All amounts are Decimal with at most eight places."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal

from stormdesk.testnet.venue import errors

ZERO = Decimal(0)
UNIT = Decimal("0.00000001")
FEE_RATE = Decimal("0.001")
MAX_OPEN_ORDERS = 200
ORDER_TYPES = ("LIMIT", "LIMIT_MAKER", "MARKET")
STP_MODES = ("EXPIRE_MAKER",)  # the first is the default
QUOTES = ("USDT", "USDC", "BTC", "ETH")
START = {"BTC": Decimal(60000), "ETH": Decimal(3000)}


def plain(amount: Decimal) -> str:
    """An amount in Binance's notation: eight places, no exponent."""
    return f"{amount:.8f}"


def fee_on(amount: Decimal) -> Decimal:
    """The commission on the received amount, rounded down to eight places."""
    return (amount * FEE_RATE).quantize(UNIT, ROUND_DOWN)


@dataclass(frozen=True)
class Symbol:
    """One market. `start` is the price that the house's quotes wander around."""

    name: str
    base: str
    quote: str
    start: Decimal
    tick: Decimal = Decimal("0.01")
    step: Decimal = Decimal("0.00001")
    max_price: Decimal = Decimal(1_000_000)
    max_qty: Decimal = Decimal(9_000)
    min_notional: Decimal = Decimal(5)

    @staticmethod
    def parse(name: str) -> Symbol:
        """The market of a name like BTCUSDT. Raises ValueError when its quote asset is not known."""
        for quote in QUOTES:
            if name.endswith(quote) and name != quote:
                base = name.removesuffix(quote)
                return Symbol(name, base, quote, START.get(base, Decimal(100)))
        raise ValueError(f"symbol {name!r}: the quote asset must be one of {', '.join(QUOTES)}")

    @property
    def max_notional(self) -> Decimal:
        """The maximum value of a limit order, in the quote asset."""
        return self.max_price * self.max_qty

    def check_quote(self, quote_qty: Decimal) -> None:
        """Raise ApiError -1013 with the filter that a market order for so much of the quote asset fails."""
        if quote_qty < self.min_notional:
            raise errors.filter_failure("NOTIONAL")

    def check(self, price: Decimal | None, qty: Decimal, reference: Decimal) -> None:
        """Raise ApiError -1013 with the filter that an order fails. A market order has no price; `reference` is the
        price that stands for it."""
        if price is not None and not (self.tick <= price <= self.max_price and price % self.tick == 0):
            raise errors.filter_failure("PRICE_FILTER")
        if not (self.step <= qty <= self.max_qty and qty % self.step == 0):
            raise errors.filter_failure("LOT_SIZE")
        if (price or reference) * qty < self.min_notional or (price or ZERO) * qty > self.max_notional:
            raise errors.filter_failure("NOTIONAL")
        if price is not None and not reference / 5 <= price <= reference * 5:
            raise errors.filter_failure("PERCENT_PRICE_BY_SIDE")

    def describe(self) -> dict[str, object]:
        """The market's entry in exchangeInfo."""
        lot = {"minQty": plain(self.step), "maxQty": plain(self.max_qty), "stepSize": plain(self.step)}
        return {
            "symbol": self.name, "status": "TRADING", "baseAsset": self.base, "baseAssetPrecision": 8,
            "quoteAsset": self.quote, "quotePrecision": 8, "quoteAssetPrecision": 8, "baseCommissionPrecision": 8,
            "quoteCommissionPrecision": 8, "orderTypes": list(ORDER_TYPES), "icebergAllowed": False,
            "ocoAllowed": False, "otoAllowed": False, "opoAllowed": False, "quoteOrderQtyMarketAllowed": True,
            "allowTrailingStop": False, "cancelReplaceAllowed": False, "amendAllowed": False,
            "pegInstructionsAllowed": False, "isSpotTradingAllowed": True,
            "isMarginTradingAllowed": False, "permissions": [], "permissionSets": [["SPOT"]],
            "defaultSelfTradePreventionMode": STP_MODES[0], "allowedSelfTradePreventionModes": list(STP_MODES),
            "filters": [
                {"filterType": "PRICE_FILTER", "minPrice": plain(self.tick), "maxPrice": plain(self.max_price),
                 "tickSize": plain(self.tick)},
                {"filterType": "LOT_SIZE", **lot},
                {"filterType": "MARKET_LOT_SIZE", **lot},
                {"filterType": "NOTIONAL", "minNotional": plain(self.min_notional), "applyMinToMarket": True,
                 "maxNotional": plain(self.max_notional), "applyMaxToMarket": False, "avgPriceMins": 0},
                {"filterType": "PERCENT_PRICE_BY_SIDE", "bidMultiplierUp": "5", "bidMultiplierDown": "0.2",
                 "askMultiplierUp": "5", "askMultiplierDown": "0.2", "avgPriceMins": 0},
                {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": MAX_OPEN_ORDERS},
            ],
        }  # fmt: skip
