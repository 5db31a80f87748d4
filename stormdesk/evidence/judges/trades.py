"""I-20: the venue did with each order what the order allows: its limit, its quantity, its time in force, its end. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal

from stormdesk.core.model import CheckResult
from stormdesk.evidence.cut import Cut
from stormdesk.evidence.cut.venue_lines import HOUSE, Accepted, Ended, Open, Request, Rules, Trade
from stormdesk.evidence.judges.judging import MIN_ORDERS, gap, result

MIN_TRADES = 3
AT_ONCE = ("IOC", "FOK")  # times in force that leave nothing in the book


def i20(cut: Cut) -> CheckResult:
    """No trade is worse than its order's limit, off the price grid, beyond the order's quantity or after its end; an order that
    must be done at once leaves nothing; both sides of a trade say the same."""
    accepted, trades = cut.accepted(), cut.made()
    return result(
        "I-20",
        {"venue orders": len(accepted), "venue trades": len(trades)},
        unreadable=[cut.venue.problem],
        floors=((len(accepted), MIN_ORDERS, "venue orders"), (len(trades), MIN_TRADES, "venue trades")),
        wrong=_wrong(cut),
        doubts=[gap(cut)],
        held=f"{len(trades)} trades of {len(accepted)} orders, none beyond limit, quantity or end of its order",
    )


@dataclass
class _Order:
    """An order so far."""

    accepted: Accepted
    traded: Decimal = Decimal(0)
    ended: bool = False

    @property
    def name(self) -> str:
        return self.accepted.client_order_id

    @property
    def at_once(self) -> bool:
        return self.accepted.type == "MARKET" or self.accepted.tif in AT_ONCE

    @property
    def over(self) -> bool:
        return self.ended or self.traded >= Decimal(self.accepted.qty)

    def beyond(self, trade: Trade) -> Iterator[str]:
        """What a trade of it must not be."""
        order, price = self.accepted, Decimal(trade.price)
        if (trade.account, trade.symbol, trade.side) != (order.account, order.symbol, order.side):
            yield f"trade {trade.trade_id}: {trade.account} {trade.side} {trade.symbol}, but its order {self.name} is not"
        if self.ended:
            yield f"trade {trade.trade_id}: {self.name} had ended before"
        if self.traded > Decimal(order.qty):
            yield f"trade {trade.trade_id}: {self.name} of {order.qty} has traded {self.traded} with it"
        limit = Decimal(order.price)
        if order.type != "MARKET" and (price > limit if order.side == "BUY" else price < limit):
            yield f"trade {trade.trade_id}: {order.side} at {trade.price}, worse than {order.price}, the limit of {self.name}"
        if order.type == "LIMIT_MAKER" and trade.maker is False:
            yield f"trade {trade.trade_id}: {self.name} may only rest in the book, and took"


def _wrong(cut: Cut) -> Iterator[str]:
    orders: dict[int, _Order] = {}
    sides: dict[int, Trade] = {}  # trades of which one side has been seen
    rules: Mapping[str, Rules] = {}
    last: _Order | None = None  # the order that was accepted last: the venue is done with it before it does anything else
    for line in cut.venue.rows:
        if last and isinstance(line, Accepted | Request | Open):
            yield from _left(last)
            last = None
        if isinstance(line, Open):
            rules = line.rules
        elif isinstance(line, Accepted):
            if line.order_id in orders:
                yield f"{line.client_order_id}: order {line.order_id} was accepted before"
            last = orders[line.order_id] = _Order(line)
            yield from _off_the_grid(f"{line.client_order_id}: limit", line.price, rules.get(line.symbol))
        elif isinstance(line, Ended) and (order := orders.get(line.order_id)):
            if order.ended:
                yield f"{order.name}: ended twice"
            if order.accepted.tif == "FOK" and order.traded:
                yield f"{order.name}: all or nothing, and {order.traded} of {order.accepted.qty} was traded"
            order.ended = True
        elif isinstance(line, Trade):
            yield from _traded(line, orders)
            yield from _off_the_grid(f"trade {line.trade_id}: price", line.price, rules.get(line.symbol))
            yield from _two_sides(line, sides)
    yield from _left(last) if last else ()
    yield from (f"trade {number}: only {one.side} is in the journal" for number, one in sides.items())


def _traded(trade: Trade, orders: Mapping[int, _Order]) -> Iterator[str]:
    if trade.account == HOUSE:
        return  # its quotes are not in the journal
    order = orders.get(trade.order_id)
    if order is None:
        yield f"trade {trade.trade_id}: its order {trade.order_id} ({trade.client_order_id}) was never accepted"
        return
    order.traded += Decimal(trade.qty)
    yield from order.beyond(trade)


def _left(order: _Order) -> Iterator[str]:
    """What may not rest in the book must be over now."""
    if order.at_once and not order.over:
        what = order.accepted.tif if order.accepted.type != "MARKET" else "MARKET"
        yield f"{order.name}: {what}, but {order.traded} of {order.accepted.qty} was traded and the rest was not ended"


def _off_the_grid(what: str, price: str, rules: Rules | None) -> Iterator[str]:
    if rules is not None and Decimal(price) % Decimal(rules.tick):
        yield f"{what} {price} is no multiple of {rules.tick}"


def _two_sides(trade: Trade, sides: dict[int, Trade]) -> Iterator[str]:
    """A trade has two lines, which differ in who, in which direction, and in who was there first."""
    other = sides.pop(trade.trade_id, None)
    if other is None:
        sides[trade.trade_id] = trade
        return
    for key in ("symbol", "price", "qty", "quote_qty"):
        if getattr(trade, key) != getattr(other, key):
            yield f"trade {trade.trade_id}: {key} {getattr(other, key)} for one side, {getattr(trade, key)} for the other"
    if trade.side == other.side:
        yield f"trade {trade.trade_id}: both sides {trade.side}"
    if trade.maker is not None and trade.maker == other.maker:
        yield f"trade {trade.trade_id}: both sides are the {'maker' if trade.maker else 'taker'}"
    if Decimal(trade.quote_qty) != Decimal(trade.price) * Decimal(trade.qty):
        yield f"trade {trade.trade_id}: {trade.qty} at {trade.price} is not {trade.quote_qty}"
