"""The seeded strategy: the next order, and which order to cancel. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal
from random import Random

from stormdesk.testnet.trader.ids import client_order_id

STRATEGY = "mix"
MARKET_SHARE = 0.4
CROSSING_SHARE = 0.15
WORTH = (20.0, 150.0)  # per order, in the quote asset
FEW, MANY = 3, 12  # open orders: below the first number nothing is cancelled, above the second always


@dataclass(frozen=True)
class Quote:
    """The best prices of a symbol."""

    bid: Decimal
    ask: Decimal


@dataclass(frozen=True)
class Instrument:
    """What exchangeInfo says about a symbol."""

    name: str
    base: str
    quote: str
    tick: Decimal
    step: Decimal


@dataclass(frozen=True)
class Intent:
    """An intended order. `price` is 0 for a market order; `epoch` is the leader's fencing token."""

    client_order_id: str
    signal: str
    symbol: str
    side: str
    type: str
    price: Decimal
    qty: Decimal
    epoch: int


class Strategy:
    """Orders of mixed type, side and size around the market. Signals are numbered within an epoch, so no process ever repeats
    one."""

    def __init__(self, seed: int, epoch: int, instruments: Sequence[Instrument]) -> None:
        self._random = Random(f"{seed}/{epoch}")
        self._epoch = epoch
        self._instruments = instruments
        self._count = 0

    def next(self, quotes: Mapping[str, Quote]) -> Intent | None:
        """The next order, or None while its symbol has no quote."""
        instrument = self._random.choice(self._instruments)
        quote = quotes.get(instrument.name)
        if quote is None:
            return None
        self._count += 1
        side = self._random.choice(("BUY", "SELL"))
        market = self._random.random() < MARKET_SHARE
        near = quote.ask if side == "BUY" else quote.bid
        price = near if market else self._limit(side, quote, instrument.tick)
        worth = Decimal(round(self._random.uniform(*WORTH), 2))
        signal = f"{STRATEGY}:{self._epoch}:{self._count}"
        return Intent(
            client_order_id=client_order_id(STRATEGY, self._epoch, signal),
            signal=signal,
            symbol=instrument.name,
            side=side,
            type="MARKET" if market else "LIMIT",
            price=Decimal(0) if market else price,
            qty=max((worth / near).quantize(instrument.step, ROUND_DOWN), instrument.step),
            epoch=self._epoch,
        )

    def cancel(self, resting: Sequence[str]) -> str | None:
        """Which of the open orders (oldest first) to cancel now, if any."""
        if len(resting) <= FEW or (len(resting) <= MANY and self._random.random() < 0.6):
            return None
        return resting[0]

    def _limit(self, side: str, quote: Quote, tick: Decimal) -> Decimal:
        spread = max(quote.ask - quote.bid, tick)
        if self._random.random() < CROSSING_SHARE:
            return quote.ask if side == "BUY" else quote.bid
        away = (spread * Decimal(round(self._random.uniform(0, 2), 2))).quantize(tick, ROUND_DOWN)
        return quote.bid - away if side == "BUY" else quote.ask + away
