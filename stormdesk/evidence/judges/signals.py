"""I-21: a signal from outside has at most one order, and that order is what the signal asked for. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal

from stormdesk.core.model import CheckResult
from stormdesk.evidence.cut import Cut
from stormdesk.evidence.cut.lines import LedgerLine
from stormdesk.evidence.cut.venue_lines import Accepted
from stormdesk.evidence.judges import ids
from stormdesk.evidence.judges.judging import MIN_ORDERS, gap, intents_of, not_put_aside, order_sources, result

OUTSIDE = "ext"  # the strategy of signals from outside, in ids
PREFIX = f"{OUTSIDE}:"  # of their ids in INTENT lines
TERMS = ("symbol", "side", "type")


def i21(cut: Cut) -> CheckResult:
    """Each INTENT for a signal from outside has an earlier SIGNAL line in the same ledger with its caller's id and terms, and no id
    has two orders at the venue."""
    accepted, signals = cut.accepted(), _signals(cut)
    orders, came = _for_signals(accepted), sum(map(len, signals.values()))
    return result(
        "I-21",
        {"signals from outside": came, "orders for them": len(orders)},
        unreadable=order_sources(cut),
        floors=((came, 1, "signals from outside"), (len(accepted), MIN_ORDERS, "venue orders")),
        wrong=_wrong(cut, signals, orders),
        doubts=[gap(cut)],
        held=f"{came} signals from outside, {len(orders)} orders for them, none twice",
    )


def from_outside(cut: Cut) -> bool:
    """Was there a signal from outside, or an order for one?"""
    return bool(_signals(cut) or _for_signals(cut.accepted()))


def _signals(cut: Cut) -> dict[str, list[LedgerLine]]:
    """SIGNAL lines by host."""
    found = {ledger.host: [line for line in ledger.lines.rows if line.kind == "SIGNAL"] for ledger in cut.ledgers}
    return {host: lines for host, lines in found.items() if lines}


def _for_signals(accepted: Iterable[Accepted]) -> list[str]:
    """Client order ids of those that the venue knows to be for signals from outside."""
    return [o.client_order_id for o in accepted if (made := ids.parse(o.client_order_id)) and made.strategy == OUTSIDE]


def _wrong(cut: Cut, signals: Mapping[str, list[LedgerLine]], orders: Iterable[str]) -> Iterator[str]:
    intents, missing = intents_of(cut), list[str]()
    of_id: dict[str, set[str]] = defaultdict(set)
    for lines in intents.values():
        for host, intent in lines:
            if intent.signal.startswith(PREFIX):
                yield from _unasked(host, intent, signals.get(host, []), missing)
    for name in orders:
        for _, intent in intents.get(name, ()):
            of_id[intent.signal].add(name)
    yield from (f"signal {signal.removeprefix(PREFIX)}: {len(names)} orders" for signal, names in of_id.items() if len(names) > 1)
    yield from not_put_aside(cut, missing)


def _unasked(host: str, intent: LedgerLine, signals: list[LedgerLine], missing: list[str]) -> Iterator[str]:
    own = intent.signal.removeprefix(PREFIX)
    asked = [line for line in signals if line.signal == own and line.seq < intent.seq]
    if not asked:
        missing.append(f"{intent.client_order_id}: {host} was never sent a signal {own}")
    elif not any(_same(intent, line) for line in asked):
        terms = f"{intent.side} {intent.qty} {intent.symbol} {intent.type} {intent.price}"
        yield f"{intent.client_order_id}: {terms} is not what signal {own} asked for"


def _same(intent: LedgerLine, signal: LedgerLine) -> bool:
    plain = [(getattr(intent, key), getattr(signal, key)) for key in TERMS]
    amounts = [(intent.qty, signal.qty), *([(intent.price, signal.price)] if intent.type == "LIMIT" else [])]
    return all(a == b for a, b in plain) and all(Decimal(a) == Decimal(b) for a, b in amounts)
