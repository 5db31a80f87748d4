"""The matching engine. Pure: time is an argument, results are events.

Rules:
1. The record changes only by events of the journal, so `replay` gives the same state. The only exception is the house: its
   resting quotes are recreated at each start and are not in the journal.
2. A trade is two TRADE events with one trade id, one for each side. Fees go to the house, so that the sum of all
   balances never changes.
3. A client order id must be unique among an account's OPEN orders only; once the first is filled it may be used again, as at
   Binance.
4. No self-trades: the resting order expires (Binance's EXPIRE_MAKER).
5. The trades of a symbol are numbered without gaps, as at Binance, so that a missing one is noticed. Each symbol's numbers start
   far above the previous symbol's, so a trade id is unique in the venue.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from decimal import Decimal

from stormdesk.testnet.venue import errors, events
from stormdesk.testnet.venue.book import Book, Resting
from stormdesk.testnet.venue.errors import ApiError
from stormdesk.testnet.venue.market import MAX_OPEN_ORDERS, ZERO, fee_on, plain
from stormdesk.testnet.venue.record import HOUSE, OPPOSITE, TRADE_IDS, NewOrder, Order, Record


@dataclass(frozen=True)
class Happening:
    """An event with the order as it was right after it (None for the house's side of a trade)."""

    event: events.Line
    order: Order | None


@dataclass
class Exchange(Record):
    """All markets of the venue over its record."""

    books: dict[str, Book] = field(init=False)
    first_update_id: int = 0
    _out: list[Happening] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.next_trade_ids = {name: i * TRADE_IDS + 1 for i, name in enumerate(self.symbols)}
        self.books = {name: Book(self.first_update_id) for name in self.symbols}

    # -- questions -----------------------------------------------------------------------------------------------

    def reference(self, symbol: str) -> Decimal:
        """The reference price of a market: the best offer (or bid), else its start price."""
        best = self.books[symbol].best("SELL") or self.books[symbol].best("BUY")
        return best[0] if best else self.symbols[symbol].start

    def check(self, new: NewOrder) -> None:
        """Raise ApiError -1013 with the filter that an order fails."""
        if new.quote_qty:
            new.symbol.check_quote(new.quote_qty)
        else:
            new.symbol.check(new.price, new.qty, self.reference(new.symbol.name))

    def sized(self, account: str, new: NewOrder) -> NewOrder:
        """A market order by quote with the quantity that the book gives for it; other orders unchanged. Raises ApiError."""
        if not new.quote_qty:
            return new
        self.check(new)
        book, step = self.books[new.symbol.name], new.symbol.step
        qty = book.worth(OPPOSITE[new.side], new.quote_qty, step, leave_out=account)
        if qty is None:
            raise ApiError(*errors.NO_LIQUIDITY)
        return replace(new, qty=qty)

    # -- what clients do -----------------------------------------------------------------------------------------

    def submit(self, account: str, new: NewOrder, now: float, most: Decimal | None = None) -> Order:
        """Accept, match and rest an order. Raises ApiError when the venue refuses it; then nothing changed.

        With `most`, at most that quantity trades, and the rest of what would trade expires.
        """
        self._judge(account, new)
        order_id = self._take_order_id()
        price = plain(new.price or ZERO)
        self._emit(
            events.Accepted(
                t=now, order_id=order_id, client_order_id=new.client_order_id, account=account, symbol=new.symbol.name,
                side=new.side, type=new.type, price=price, qty=plain(new.qty), tif=new.tif,
                quote_order_qty=plain(new.quote_qty) if new.quote_qty else "", strategy_id=new.strategy_id,
                strategy_type=new.strategy_type,
            )
        )  # fmt: skip
        order = self.orders[order_id]
        if new.tif != "FOK" or self._available(order) >= order.qty:
            self._match(order, now, most)
        if order.is_open and (new.type == "MARKET" or new.tif != "GTC" or order.executed == most):
            self._emit(events.Expired(t=now, order_id=order_id, client_order_id=order.client_order_id, account=account))
        elif order.is_open:
            self._rest(order)
        return order

    def cancel(self, order: Order, now: float) -> None:
        """Cancel an open order. Raises ApiError -2011 when it is not open."""
        if not order.is_open:
            raise ApiError(*errors.UNKNOWN_CANCEL)
        self.books[order.symbol].remove(order.order_id)
        self._emit(
            events.Canceled(
                t=now, order_id=order.order_id, client_order_id=order.client_order_id, account=order.account
            )
        )

    def rollback(self, to_seq: int, now: float) -> list[int]:
        """Void all trades after that line of the journal; returns their ids. Orders that took part are canceled first."""
        void = [t for made in self.trades.values() for t in made if t.seq > to_seq]
        for order in [self.orders[trade.order_id] for trade in void]:
            if order.is_open:
                self.cancel(order, now)
        ids = sorted({trade.trade_id for trade in void})
        self._emit(events.Rollback(t=now, to_seq=to_seq, trades=ids))
        return ids

    def transfer(self, account: str, asset: str, amount: Decimal, now: float) -> None:
        """Move an amount from the house to an account, or back when it is negative. Raises KeyError, ValueError."""
        if self.accounts.free(account, asset) + amount < 0:
            raise ValueError(f"{account} has less than that")
        self._emit(events.Transfer(t=now, account=account, asset=asset, amount=plain(amount)))

    # -- what the house does -------------------------------------------------------------------------------------

    def quote(self, symbol: str, side: str, price: Decimal, qty: Decimal, now: float) -> int:
        """Trade the crossing part and rest the remainder for the house; returns the id of its order."""
        order_id = self._take_order_id()
        order = Order(order_id, f"house-{order_id}", HOUSE, symbol, side, "LIMIT", "GTC", price, qty, now, now)
        self._match(order, now)
        if order.executed < order.qty:
            self._rest(order)
        return order_id

    def unquote(self, symbol: str, order_id: int) -> None:
        """Remove a quote of the house, if it still rests."""
        self.books[symbol].remove(order_id)

    # -- events --------------------------------------------------------------------------------------------------

    def take(self) -> list[Happening]:
        """The events since the last call, in order."""
        out, self._out = self._out, []
        return out

    def replay(self, lines: Iterable[events.Line]) -> None:
        """Rebuild the state from a journal, then rest the open orders."""
        for line in lines:
            self.apply(line)
        for orders in self._open.values():
            for order in orders.values():
                self._rest(order)

    # -- inside --------------------------------------------------------------------------------------------------

    def _judge(self, account: str, new: NewOrder) -> None:
        book = self.books[new.symbol.name]
        self.check(new)
        if new.quote_qty and not new.symbol.step <= new.qty <= new.symbol.max_qty:
            raise errors.filter_failure("LOT_SIZE")
        mine = self._open[account]
        if self._latest.get((account, new.client_order_id), 0) in mine:
            raise ApiError(*errors.DUPLICATE)
        if len(mine) >= MAX_OPEN_ORDERS and len(self.open_orders(account, new.symbol.name)) >= MAX_OPEN_ORDERS:
            raise errors.filter_failure("MAX_NUM_ORDERS")
        if new.type == "LIMIT_MAKER" and book.front(OPPOSITE[new.side], new.price):
            raise ApiError(*errors.WOULD_MATCH)
        asset = new.symbol.quote if new.side == "BUY" else new.symbol.base
        if self._needs(new, book) > self.accounts.free(account, asset):
            raise ApiError(*errors.NO_FUNDS)

    def _needs(self, new: NewOrder, book: Book) -> Decimal:
        """The maximum cost of an order, in the asset that it pays with."""
        if new.side == "SELL":
            return new.qty
        if new.quote_qty:
            return new.quote_qty
        if new.price is not None:
            return new.price * new.qty
        cost, left = ZERO, new.qty
        for resting in book.against("SELL", None):
            taken = min(left, resting.remaining)
            cost, left = cost + taken * resting.price, left - taken
            if not left:
                break
        return cost

    def _available(self, order: Order) -> Decimal:
        resting = self.books[order.symbol].against(OPPOSITE[order.side], order.limit)
        return sum((r.remaining for r in resting if r.account != order.account), ZERO)

    def _match(self, order: Order, now: float, most: Decimal | None = None) -> None:
        book, most = self.books[order.symbol], order.qty if most is None else min(most, order.qty)
        while order.executed < most and (resting := book.front(OPPOSITE[order.side], order.limit)):
            if resting.account == order.account:
                book.remove(resting.order_id)
                self._expire_own(resting, now)
            else:
                self._trade(order, resting, min(most - order.executed, resting.remaining), now)

    def _expire_own(self, resting: Resting, now: float) -> None:
        own = self.orders.get(resting.order_id)
        if own is not None:
            self._emit(
                events.Expired(t=now, order_id=own.order_id, client_order_id=own.client_order_id, account=own.account)
            )

    def _trade(self, taker: Order, resting: Resting, qty: Decimal, now: float) -> None:
        trade_id = self.next_trade_ids[taker.symbol]
        maker = self.orders.get(resting.order_id)
        maker_cid = maker.client_order_id if maker else f"house-{resting.order_id}"
        for order_id, cid, account, side, is_maker in (
            (resting.order_id, maker_cid, resting.account, resting.side, True),
            (taker.order_id, taker.client_order_id, taker.account, taker.side, False),
        ):
            symbol = self.symbols[taker.symbol]
            received, asset = (qty, symbol.base) if side == "BUY" else (qty * resting.price, symbol.quote)
            fee = ZERO if account == HOUSE else fee_on(received)
            self._emit(
                events.Trade(
                    t=now, trade_id=trade_id, order_id=order_id, client_order_id=cid, account=account,
                    symbol=symbol.name, side=side, price=plain(resting.price), qty=plain(qty),
                    quote_qty=plain(qty * resting.price), fee=plain(fee), fee_asset=asset, maker=is_maker,
                )
            )  # fmt: skip
        if taker.account == HOUSE:  # the house's orders are not in `orders`, so nobody else counts this one's fills
            taker.executed += qty
        self.books[taker.symbol].reduce(resting, qty)

    def _rest(self, order: Order) -> None:
        left = order.qty - order.executed
        self.books[order.symbol].add(Resting(order.order_id, order.account, order.side, order.price, left))

    def _take_order_id(self) -> int:
        order_id, self.next_order_id = self.next_order_id, self.next_order_id + 1
        return order_id

    def _emit(self, event: events.Line) -> None:
        order = self.apply(event)
        self._out.append(Happening(event, replace(order) if order else None))
