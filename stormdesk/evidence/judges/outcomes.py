"""I-18: each order went as the ledgers say: who canceled it, how it ended, what it traded. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from stormdesk.core.model import CheckResult
from stormdesk.evidence.cut import Cut
from stormdesk.evidence.cut.lines import LedgerLine
from stormdesk.evidence.cut.venue_lines import OTHERS, Accepted, Ended, Request, Rollback, Trade
from stormdesk.evidence.judges.gates import KILL_SWITCH
from stormdesk.evidence.judges.judging import DRAIN_S, MIN_ORDERS, gap, not_put_aside, order_sources, result

KILL_S = 60.0  # a guard's kill cancels for so long at most after its state file was written
NEAR_S = 1.0  # between a request and what it did
CLOCK_S = 0.5  # instants of different hosts that share no clock


def i18(cut: Cut) -> CheckResult:
    """Each order that was canceled has an earlier CANCEL of ours and a request of ours for it; each CANCEL led to an end; DONE
    and FILL lines say what the venue did, of each order and each trade."""
    orders = _orders(cut)
    canceled = sum(order.end == "CANCELED" for order in orders.values())
    lines = sum(line.kind in ("CANCEL", "DONE", "FILL") for ledger in cut.ledgers for line in ledger.lines.rows)
    return result(
        "I-18",
        {"venue orders": len(orders), "canceled": canceled, "lines about their course": lines},
        unreadable=order_sources(cut),
        floors=((len(orders), MIN_ORDERS, "venue orders"), (lines, 1, "lines about their course")),
        wrong=_wrong(cut, orders),
        doubts=[gap(cut)],
        held=f"{len(orders)} orders, {canceled} canceled and all by us; {lines} CANCEL, DONE and FILL lines are the venue's",
    )


@dataclass
class _Order:
    """An order of the desk: what the venue did with it, and what the ledgers say of it, with the host of each line."""

    accepted: Accepted
    canceled: Ended | None = None
    end: str = ""  # FILLED, CANCELED, EXPIRED, or "" while it is open
    trades: dict[int, Trade] = field(default_factory=dict)
    asked: list[float] = field(default_factory=list)  # when a cancel for it arrived
    said: dict[str, list[tuple[str, LedgerLine]]] = field(default_factory=lambda: defaultdict(list))  # by kind

    @property
    def name(self) -> str:
        return self.accepted.client_order_id


def _orders(cut: Cut) -> dict[int, _Order]:
    """By order id."""
    orders = {accepted.order_id: _Order(accepted) for accepted in cut.accepted()}
    names = {order.name: order for order in orders.values()}
    for line in cut.venue.rows:
        if isinstance(line, Trade) and line.account not in OTHERS and (order := orders.get(line.order_id)):
            order.trades[line.trade_id] = line
            if sum(Decimal(trade.qty) for trade in order.trades.values()) >= Decimal(order.accepted.qty):
                order.end = "FILLED"
        elif isinstance(line, Ended) and (order := orders.get(line.order_id)):
            order.end = line.kind
            order.canceled = line if line.kind == "CANCELED" else None
        elif isinstance(line, Request) and line.method == "DELETE" and (order := names.get(line.client_order_id)):
            order.asked.append(line.t)
    for ledger in cut.ledgers:
        for said in ledger.lines.rows:
            if order := names.get(said.client_order_id):
                order.said[said.kind].append((ledger.host, said))
    return orders


@dataclass
class _Causes:
    """What may cancel orders besides a cancel of that very order. Instants in seconds since 1970."""

    all_at_once: list[float]  # requests that name no order
    taken_back: list[Rollback]
    killed_by: float  # a kill switch was last written then; 0: never

    def by_the_venue(self, at: Ended) -> bool:
        """It cancels orders whose trades it takes back, right before."""
        return any(line.to_seq < at.seq < line.seq and line.t - at.t < NEAR_S for line in self.taken_back)

    def by_one_request(self, at: Ended) -> bool:
        return any(0 <= at.t - t < NEAR_S for t in self.all_at_once)

    def by_a_guard(self, at: Ended) -> bool:
        """The guard of a dead trader kills with a key of its own, and writes no ledger."""
        return self.by_one_request(at) and at.t < self.killed_by + KILL_S


def _causes(cut: Cut) -> _Causes:
    deletes = [line for line in cut.venue.rows if isinstance(line, Request) and line.method == "DELETE"]
    kills = [files[KILL_SWITCH].mtime for files in cut.state_files.values() if KILL_SWITCH in files]
    return _Causes(
        [line.t for line in deletes if not line.client_order_id and line.account not in OTHERS],
        [line for line in cut.venue.rows if isinstance(line, Rollback)],
        max(kills, default=0.0),
    )


def _wrong(cut: Cut, orders: Mapping[int, _Order]) -> Iterator[str]:
    causes, missing = _causes(cut), list[str]()
    clock_s = 0.0 if cut.meta is None or cut.meta.one_clock else CLOCK_S
    asked_by = cut.meta.hold.started - DRAIN_S if cut.meta else 0.0
    for order in orders.values():
        if order.canceled is not None and not causes.by_the_venue(order.canceled):
            yield from _canceled(order, order.canceled, causes, clock_s, missing)
        yield from _done(order, missing)
        if not order.end and (late := [line for _, line in order.said["CANCEL"] if line.t < asked_by]):
            yield f"{order.name}: its CANCEL was written {asked_by + DRAIN_S - late[0].t:.0f} s before the end, and it is still open"
        yield from _filled(order, missing)
    yield from _traded_by_nobody(cut)
    yield from not_put_aside(cut, missing)


def _canceled(order: _Order, at: Ended, causes: _Causes, clock_s: float, missing: list[str]) -> Iterator[str]:
    if not any(t <= at.t for t in order.asked) and not causes.by_one_request(at):
        yield f"{order.name}: canceled at the venue, and nobody had asked for it"
    written = [line for _, line in order.said["CANCEL"]]
    if not written and not causes.by_a_guard(at):
        missing.append(f"{order.name}: canceled, and no ledger has a CANCEL of it")
    elif written and (first := min(line.t for line in written)) > at.t + clock_s:
        yield f"{order.name}: its CANCEL was written {first - at.t:.1f} s after it was canceled"
    for line in written:
        if line.order_id != order.accepted.order_id:
            yield f"{order.name}: its CANCEL is of order {line.order_id}, and it is {order.accepted.order_id}"


def _done(order: _Order, missing: list[str]) -> Iterator[str]:
    for host, line in order.said["DONE"]:
        if line.state != order.end:
            yield f"{host} seq {line.seq}: {order.name} is DONE, {line.state}; at the venue it is {order.end or 'open'}"
    if order.end and not order.said["DONE"]:
        missing.append(f"{order.name}: {order.end} at the venue, and no ledger has its DONE")


def _filled(order: _Order, missing: list[str]) -> Iterator[str]:
    booked: dict[tuple[str, int | None], LedgerLine] = {}
    for host, line in order.said["FILL"]:
        trade = order.trades.get(line.trade_id or 0)
        if (host, line.trade_id) in booked:
            yield f"{host} seq {line.seq}: trade {line.trade_id} of {order.name} is booked twice"
        booked[host, line.trade_id] = line
        for key in ("price", "qty", "fee") if trade else ():
            if Decimal(getattr(line, key)) != Decimal(getattr(trade, key)):
                yield f"{host} seq {line.seq}: {key} {getattr(line, key)} of trade {line.trade_id}, {getattr(trade, key)} at the venue"
    seen = {number for _, number in booked}
    missing += [f"trade {number} of {order.name}: no ledger has its FILL" for number in order.trades if number not in seen]


def _traded_by_nobody(cut: Cut) -> Iterator[str]:
    """FILL lines of trades that the venue did not make with their order; also of orders that a person placed there."""
    made = {(trade.client_order_id, trade.trade_id) for trade in cut.made()}
    for ledger in cut.ledgers:
        for line in ledger.lines.rows:
            if line.kind == "FILL" and (line.client_order_id, line.trade_id) not in made:
                yield f"{ledger.host} seq {line.seq}: FILL of trade {line.trade_id}, which {line.client_order_id} has not"
