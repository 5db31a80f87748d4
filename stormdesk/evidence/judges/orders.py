"""I-01 to I-03: every order is audited, none is sent twice, none is lost. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import chain

from stormdesk.core.model import CheckResult
from stormdesk.evidence.cut import Cut
from stormdesk.evidence.cut.lines import LedgerLine
from stormdesk.evidence.cut.venue_lines import Accepted, Ended
from stormdesk.evidence.judges import ids
from stormdesk.evidence.judges.judging import (
    DRAIN_S,
    MIN_ORDERS,
    gap,
    intents_of,
    order_sources,
    plain,
    put_aside,
    result,
    seen_by_venue,
)


def i01(cut: Cut) -> CheckResult:
    """Every venue order has exactly one INTENT in the ledgers, written before the venue saw it, and is what that says."""
    intents = intents_of(cut)
    accepted = cut.accepted()
    return result(
        "I-01",
        {"venue orders": len(accepted), "ledger INTENTs": sum(map(len, intents.values()))},
        unreadable=order_sources(cut),
        floors=((len(accepted), MIN_ORDERS, "venue orders"), (len(intents), MIN_ORDERS, "INTENT lines")),
        wrong=chain(_without_intent(cut, intents), _not_as_intended(accepted, intents)),
        doubts=[gap(cut)],
        held=f"{len(accepted)} venue orders, each with one earlier INTENT",
    )


def _without_intent(cut: Cut, intents: Mapping[str, Sequence[tuple[str, LedgerLine]]]) -> Iterator[str]:
    one_clock = cut.meta is not None and cut.meta.one_clock
    first_line = {(ledger.host, line.client_order_id): line for ledger in reversed(cut.ledgers)
                  for line in reversed(ledger.lines.rows)}  # fmt: skip
    aside = put_aside(cut)
    for cid, seen in seen_by_venue(cut).items():
        mine = intents.get(cid, ())
        if not mine and cid in aside:
            continue  # its INTENT is among the lines that were put aside: I-05 judges those
        if len(mine) != 1:
            yield f"{cid}: the venue saw it (journal seq {seen.seq}) and the ledgers hold {len(mine)} INTENTs"
            continue
        host, intent = mine[0]
        before = first_line[host, cid]
        if before.kind != "INTENT":
            yield f"{cid}: ledger of {host} has {before.kind} at seq {before.seq}, before INTENT at seq {intent.seq}"
        elif one_clock and intent.t > seen.t:
            yield f"{cid}: INTENT of {host} is {intent.t - seen.t:.3f} s later than the venue's journal seq {seen.seq}"


def _not_as_intended(
    accepted: Sequence[Accepted], intents: Mapping[str, Sequence[tuple[str, LedgerLine]]]
) -> Iterator[str]:
    for order in accepted:
        for host, intent in intents.get(order.client_order_id, ()):
            if (theirs := _terms(order)) != (ours := _terms(intent)):
                yield f"{order.client_order_id}: the venue took {theirs}, the INTENT of {host} at seq {intent.seq} is {ours}"


def _terms(order: Accepted | LedgerLine) -> str:
    """What an order is, in words. The price of a MARKET order is nobody's."""
    at = f" at {plain(order.price)}" if order.type == "LIMIT" else ""
    return f"{order.type} {order.side} {plain(order.qty)} {order.symbol}{at}"


def i02(cut: Cut) -> CheckResult:
    """No client order id or venue order id is accepted twice over all time; no signal has two client order ids."""
    accepted = cut.accepted()
    signals = [(line.signal, cid) for cid, lines in intents_of(cut).items() for _, line in lines]
    rows = [(row.signal or "", row.client_order_id) for row in cut.orders.rows]
    return result(
        "I-02",
        {"venue orders": len(accepted), "ledger INTENTs": len(signals), "order rows": len(rows)},
        unreadable=[*order_sources(cut), cut.orders.problem],
        floors=(
            (len(accepted), MIN_ORDERS, "venue orders"),
            (len(signals), MIN_ORDERS, "INTENT lines"),
            (len(rows), MIN_ORDERS, "order rows"),
        ),
        wrong=_twice(accepted, signals + rows),
        doubts=[gap(cut)],
        held=f"{len(accepted)} client order ids accepted once each, one for each signal",
    )


def _twice(accepted: Sequence[Accepted], signals: Sequence[tuple[str, str]]) -> Iterator[str]:
    by_cid: dict[tuple[str, str], Accepted] = {}
    by_id: dict[int, Accepted] = {}
    for order in accepted:
        if first := by_cid.get((order.account, order.client_order_id)):
            yield f"{order.client_order_id}: accepted as orders {first.order_id} and {order.order_id}"
        if first := by_id.get(order.order_id):
            yield f"order {order.order_id}: accepted at journal seq {first.seq} and {order.seq}"
        by_cid[order.account, order.client_order_id] = by_id[order.order_id] = order
    yield from _two_for_one_signal(accepted, signals)


def _two_for_one_signal(accepted: Sequence[Accepted], signals: Sequence[tuple[str, str]]) -> Iterator[str]:
    """The ledgers and rows say which signal an id is of; the id itself says it too, so the journal alone shows two."""
    of_signal: dict[str, str] = {}
    for signal, cid in signals:
        if signal and of_signal.setdefault(signal, cid) != cid:
            yield f"signal {signal}: client order ids {of_signal[signal]} and {cid}"
        made = ids.parse(cid)
        if signal and made and not made.names(signal):
            yield f"{cid}: not the client order id of its signal {signal}"
    of_digest: dict[tuple[str, str], str] = {}
    for order in accepted:
        cid, made = order.client_order_id, ids.parse(order.client_order_id)
        if made and (one := of_digest.setdefault((made.strategy, made.digest), cid)) != cid:
            yield f"{cid}: accepted for the signal that {one} was accepted for"


def i03(cut: Cut) -> CheckResult:
    """No order is lost: each INTENT was accepted, rejected or proven absent, and all sources say the same."""
    intents = intents_of(cut)
    accepted = cut.accepted()
    known = len({order.client_order_id for order in accepted} & {*intents})  # an order without an INTENT is I-01's
    meta = cut.meta
    return result(
        "I-03",
        {"ledger INTENTs": len(intents), "venue orders": len(accepted), "order rows": len(cut.orders)},
        unreadable=[*order_sources(cut), cut.orders.problem],
        floors=(
            (len(intents), MIN_ORDERS, "INTENT lines"),
            (len(accepted), MIN_ORDERS, "venue orders"),
            (len(cut.orders), MIN_ORDERS, "order rows"),
            (len(meta.traders) if meta else 0, 1, "traders"),
        ),
        wrong=_lost(cut, intents),
        doubts=[gap(cut)],
        held=f"{len(intents)} INTENTs = {known} accepted + {len(intents) - known} not accepted",
    )


def lost_orders(cut: Cut) -> int:
    """How many orders I-03 names as lost or told differently."""
    return len({line.partition(":")[0] for line in _lost(cut, intents_of(cut)) if not line.startswith("not drained")})


def _lost(cut: Cut, intents: Mapping[str, object]) -> Iterator[str]:
    if cut.meta is not None and cut.meta.drain_s is None:
        left = [f"{host}: {key} {n}" for host, counts in cut.meta.left.items() for key, n in counts.items() if n]
        yield f"not drained after {DRAIN_S:g} s: {', '.join(left) or 'no trader answered'}"
    venue = _venue_states(cut)
    told = _told(cut)
    rows = {row.client_order_id: row.state for row in cut.orders.rows}
    stood = {trade.seq for trade in cut.trades()}
    undone = {trade.client_order_id for trade in cut.made() if trade.seq not in stood}
    for cid in intents:
        said = told.get(cid, "no answer")
        if said in ("no answer", "UNKNOWN"):
            yield f"{cid}: the ledger ends with {said}; the venue has {venue.get(cid, 'no such order')}"
        elif (said == "accepted") != (cid in venue):
            yield f"{cid}: the ledger says {said}, the venue's journal {venue.get(cid, 'has no such order')}"
    for cid, state in venue.items():
        if cid not in rows:
            yield f"{cid}: {state} at the venue, no row in PostgreSQL"
        elif rows[cid] != state and not (cid in undone and rows[cid] == "CANCELED"):  # so the venue calls it since
            yield f"{cid}: {state} at the venue, {rows[cid]} in PostgreSQL"
    for cid, state in rows.items():
        if cid not in venue and state not in ("REJECTED", "EXPIRED"):
            yield f"{cid}: {state} in PostgreSQL, unknown to the venue"


def _told(cut: Cut) -> dict[str, str]:
    """What the ledgers last said of each client order id: accepted, not accepted, or UNKNOWN."""
    told: dict[str, str] = {}
    for ledger in cut.ledgers:
        for line in ledger.lines.rows:
            match line.kind:
                case "ACK":
                    told[line.client_order_id] = "accepted"
                case "FILL" | "DONE" if ledger.quarantine.rows:  # the answer itself may be among what is put aside
                    told[line.client_order_id] = "accepted"
                case "REJECT":
                    told[line.client_order_id] = "not accepted"
                case "RESOLVED":
                    told[line.client_order_id] = "not accepted" if line.order_id is None else "accepted"
                case "UNKNOWN":
                    told[line.client_order_id] = "UNKNOWN"
    return told


def _venue_states(cut: Cut) -> dict[str, str]:
    """The state of each desk order that follows from the venue's journal. Trades that the venue took back were made."""
    done: dict[int, Decimal] = defaultdict(Decimal)
    for trade in cut.made():
        done[trade.order_id] += Decimal(trade.qty)
    ended = {line.order_id: line.kind for line in cut.venue.rows if isinstance(line, Ended)}
    states = {}
    for order in cut.accepted():
        filled = done[order.order_id]
        working = "PARTIALLY_FILLED" if filled else "NEW"
        states[order.client_order_id] = "FILLED" if filled >= Decimal(order.qty) else ended.get(order.order_id, working)
    return states
