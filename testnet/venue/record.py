"""The venue's record: orders, trades and balances. Pure. It changes only in `apply`, by an event of the journal, so replaying the
journal gives the same record."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from msgspec import structs

from stormdesk.testnet.venue import events
from stormdesk.testnet.venue.accounts import Accounts
from stormdesk.testnet.venue.candles import Candles
from stormdesk.testnet.venue.market import ZERO, Symbol

HOUSE = "house"
OPPOSITE = {"BUY": "SELL", "SELL": "BUY"}
PRINTS = 10_000  # public trades kept per symbol
TRADE_IDS = 10**12  # of one symbol
OPEN_STATES = ("NEW", "PARTIALLY_FILLED")


@dataclass(frozen=True)
class NewOrder:
    """A client's new order. A market order has no price; `tif` is GTC, IOC or FOK."""

    client_order_id: str
    symbol: Symbol
    side: str
    type: str
    qty: Decimal
    price: Decimal | None = None
    tif: str = "GTC"
    quote_qty: Decimal = ZERO  # of a market order by quote; `Exchange.sized` makes its quantity
    strategy_id: int | None = None
    strategy_type: int | None = None


@dataclass(slots=True)
class Order:
    """An order's current state. `t` and `updated` are seconds since 1970."""

    order_id: int
    client_order_id: str
    account: str
    symbol: str
    side: str
    type: str
    tif: str
    price: Decimal
    qty: Decimal
    t: float
    updated: float
    executed: Decimal = ZERO
    quote_executed: Decimal = ZERO
    locked: Decimal = ZERO
    status: str = "NEW"
    quote_order_qty: Decimal = ZERO  # of a market order by quote, the amount to spend or receive
    strategy_id: int | None = None
    strategy_type: int | None = None

    @property
    def is_open(self) -> bool:
        return self.status in OPEN_STATES

    @property
    def limit(self) -> Decimal | None:
        """The worst price it trades at; None for a market order."""
        return None if self.type == "MARKET" else self.price


@dataclass
class Record:
    """All orders, trades and balances of the venue, from its journal."""

    symbols: Mapping[str, Symbol]
    accounts: Accounts
    orders: dict[int, Order] = field(default_factory=dict)
    trades: dict[tuple[str, str], list[events.Trade]] = field(default_factory=lambda: defaultdict(list))
    prints: dict[str, deque[events.Trade]] = field(default_factory=lambda: defaultdict(lambda: deque(maxlen=PRINTS)))
    next_order_id: int = 1
    next_trade_ids: dict[str, int] = field(init=False)
    _latest: dict[tuple[str, str], int] = field(default_factory=dict)
    _open: dict[str, dict[int, Order]] = field(default_factory=lambda: defaultdict(dict))
    _charts: dict[str, Candles] = field(default_factory=dict)

    def chart(self, symbol: str) -> Candles:
        """The candles of a symbol."""
        if symbol not in self._charts:
            self._charts[symbol] = Candles(self.symbols[symbol].start)
        return self._charts[symbol]

    def open_orders(self, account: str, symbol: str | None = None) -> list[Order]:
        """The account's open orders, oldest first."""
        return [order for order in self._open[account].values() if symbol in (None, order.symbol)]

    def open_count(self) -> int:
        """Open orders of all accounts; the house's quotes do not count."""
        return sum(map(len, self._open.values()))

    def trade_count(self) -> int:
        """The number of trades so far."""
        return sum(number % TRADE_IDS - 1 for number in self.next_trade_ids.values())

    def find(self, account: str, symbol: str, order_id: int | None, client_order_id: str | None) -> Order | None:
        """An order by id, or the latest with that client id; None when the account has no such order there."""
        if order_id is None:
            order_id = self._latest.get((account, client_order_id or ""), 0)
        order = self.orders.get(order_id)
        return order if order and order.account == account and order.symbol == symbol else None

    def apply(self, event: events.Line) -> Order | None:
        """Apply one event; returns its order."""
        match event:
            case events.Accepted():
                return self._accept(event)
            case events.Trade():
                return self._settle(event)
            case events.Canceled() | events.Expired():
                return self._end(event, "CANCELED" if isinstance(event, events.Canceled) else "EXPIRED")
            case events.Rollback():
                self._void(event.to_seq)
            case events.Transfer():
                self.accounts.add(event.account, event.asset, Decimal(event.amount))
                self.accounts.add(HOUSE, event.asset, -Decimal(event.amount))
        return None

    def _accept(self, event: events.Accepted) -> Order:
        order = Order(
            event.order_id, event.client_order_id, event.account, event.symbol, event.side, event.type, event.tif,
            Decimal(event.price), Decimal(event.qty), event.t, event.t,
            quote_order_qty=Decimal(event.quote_order_qty or 0), strategy_id=event.strategy_id,
            strategy_type=event.strategy_type,
        )  # fmt: skip
        if order.type != "MARKET":
            order.locked = order.qty if order.side == "SELL" else order.price * order.qty
            self.accounts.lock(order.account, self._paying_asset(order), order.locked)
        self.orders[order.order_id] = order
        self._latest[order.account, order.client_order_id] = order.order_id
        self._open[order.account][order.order_id] = order
        self.next_order_id = max(self.next_order_id, order.order_id + 1)
        return order

    def _settle(self, event: events.Trade) -> Order | None:
        self._move(event, 1)
        if not event.maker:
            self.prints[event.symbol].append(event)
            self.chart(event.symbol).trade(event)
        self.next_trade_ids[event.symbol] = max(self.next_trade_ids[event.symbol], event.trade_id + 1)
        order = self.orders.get(event.order_id)
        if order is not None:
            self.trades[event.account, event.symbol].append(event)
            self._fill(order, Decimal(event.qty), Decimal(event.quote_qty), event.t)
        return order

    def _move(self, trade: events.Trade, way: int) -> None:
        """Settle one side of a trade; `way` -1 reverses it."""
        qty, quote, fee = Decimal(trade.qty) * way, Decimal(trade.quote_qty) * way, Decimal(trade.fee) * way
        symbol = self.symbols[trade.symbol]
        paid, spent = (symbol.quote, quote) if trade.side == "BUY" else (symbol.base, qty)
        got, received = (symbol.base, qty) if trade.side == "BUY" else (symbol.quote, quote)
        self.accounts.add(trade.account, paid, -spent)
        self.accounts.add(trade.account, got, received - fee)
        self.accounts.add(HOUSE, trade.fee_asset, fee)

    def _void(self, to_seq: int) -> None:
        """Reverse all trades after that line of the journal. Their orders have ended; a FILLED one then counts as CANCELED."""
        sides: dict[tuple[str, int], list[events.Trade]] = defaultdict(list)
        for key, made in self.trades.items():
            for trade in made:
                if trade.seq > to_seq:
                    sides[trade.symbol, trade.trade_id].append(trade)
            self.trades[key] = [trade for trade in made if trade.seq <= to_seq]
        for both in sides.values():
            if len(both) == 1:  # the house has no list of its trades; its side is the mirror of the other
                both.append(structs.replace(both[0], account=HOUSE, side=OPPOSITE[both[0].side], fee="0"))
            for trade in both:
                self._move(trade, -1)
                if order := self.orders.get(trade.order_id) if trade.account != HOUSE else None:
                    order.executed -= Decimal(trade.qty)
                    order.quote_executed -= Decimal(trade.quote_qty)
                    order.status = "CANCELED" if order.status == "FILLED" else order.status
        for symbol, made_public in self.prints.items():
            kept = (trade for trade in made_public if (symbol, trade.trade_id) not in sides)
            self.prints[symbol] = deque(kept, maxlen=made_public.maxlen)

    def _fill(self, order: Order, qty: Decimal, quote: Decimal, now: float) -> None:
        if (
            order.type != "MARKET"
        ):  # the trade was paid from the free balance: release the amount that was locked for it
            backing = qty if order.side == "SELL" else order.price * qty
            order.locked -= backing
            self.accounts.lock(order.account, self._paying_asset(order), -backing)
        order.executed += qty
        order.quote_executed += quote
        order.updated = now
        order.status = "FILLED" if order.executed == order.qty else "PARTIALLY_FILLED"
        if order.status == "FILLED":
            del self._open[order.account][order.order_id]

    def _end(self, event: events.Canceled | events.Expired, status: str) -> Order:
        order = self.orders[event.order_id]
        self.accounts.lock(order.account, self._paying_asset(order), -order.locked)
        order.locked, order.status, order.updated = ZERO, status, event.t
        del self._open[order.account][order.order_id]
        return order

    def _paying_asset(self, order: Order) -> str:
        symbol = self.symbols[order.symbol]
        return symbol.quote if order.side == "BUY" else symbol.base
