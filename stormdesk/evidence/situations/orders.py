"""Situations of single orders: what their ledger, their row and the venue knew at which instant. Pure."""

from __future__ import annotations

from itertools import pairwise

from stormdesk.evidence.cut.venue_lines import Rollback, VenueLine
from stormdesk.evidence.situations.facts import FOREVER, Facts, at_faults, first

LONG_S = 5.0
STILL_S = 5.0  # no order accepted for so long is no trading


def fill_while_unknown(facts: Facts) -> str:
    """A fill arrived at the venue while its order was UNKNOWN."""
    return first(
        f"{life.id}: trade {trade.trade_id}"
        for life in facts.lives
        for trade in life.trades
        if life.unknown and life.unknown[0] < trade.t < life.unknown[1]
    )


def accepted_but_unknown(facts: Facts) -> str:
    """The venue had accepted an order whose sender knew nothing of it."""
    return first(f"{life.id}: order {life.accepted.order_id}" for life in facts.lives if life.unknown and life.accepted)


def unknown_never_accepted(facts: Facts) -> str:
    """An UNKNOWN order turned out never to have been accepted."""
    return first(f"{life.id}" for life in facts.lives if life.unknown and life.unknown[1] < FOREVER and not life.accepted)


def unknown_for_long(facts: Facts) -> str:
    """An order was UNKNOWN for more than five seconds."""
    spans = ((life.id, life.unknown) for life in facts.lives)
    return first(f"{name}: {span[1] - span[0]:.1f} s" for name, span in spans if span and span[1] - span[0] > LONG_S)


def unknown_together(facts: Facts) -> str:
    """Two orders were UNKNOWN at the same time."""
    spans = [(life.id, life.unknown) for life in facts.lives if life.unknown]
    return first(
        f"{one} and {other}"
        for n, (one, mine) in enumerate(spans)
        for other, its in spans[n + 1 :]
        if mine[0] < its[1] and its[0] < mine[1]
    )


def lost_request(facts: Facts) -> str:
    """An order was on its sender's disk, and its request never reached the venue."""
    return first(life.id for life in facts.lives if life.t("INTENT") is not None and not life.request and not life.accepted)


def fill_before_acknowledgement(facts: Facts) -> str:
    """An order was filled before its sender had heard that it was accepted."""
    return first(
        f"{life.id}: {1000 * (ack - life.trades[0].t):.0f} ms before"
        for life in facts.lives
        if life.trades and (ack := life.t("ACK")) is not None and life.trades[0].t < ack
    )


def several_fills(facts: Facts) -> str:
    """An order was filled in several trades."""
    return first(f"{life.id}: {len(life.trades)} trades" for life in facts.lives if len(life.trades) > 1)


def ended_half_filled(facts: Facts) -> str:
    """An order ended canceled or expired after a part of it was filled."""
    return first(f"{life.id}: {life.ended.kind}" for life in facts.lives if life.ended and life.trades)


def cancel_too_late(facts: Facts) -> str:
    """A cancel was sent for an order that was filled before it came."""
    return first(life.id for life in facts.lives if life.t("CANCEL") is not None and life.trades and not life.ended)


def rejected_by_venue(facts: Facts) -> str:
    """The venue refused an order."""
    return first(f"line {line.seq} of the venue's journal" for line in facts.of(VenueLine) if line.kind == "REJECTED")


def in_flight_at_injection(facts: Facts) -> str:
    """An order was on its way, unanswered, at the instant when a fault began."""
    return at_faults(facts, "since", lambda life: life.flight)


def in_flight_at_lift(facts: Facts) -> str:
    """An order was on its way, unanswered, at the instant when a fault ended."""
    return at_faults(facts, "until", lambda life: life.flight)


def resting_at_injection(facts: Facts) -> str:
    """An order rested at the venue when a fault began."""
    return at_faults(facts, "since", lambda life: life.resting)


def filled_under_fault(facts: Facts) -> str:
    """An order of the desk was filled while a fault was in."""
    return first(
        f"{life.id}: {during.name} in on {during.host}"
        for life in facts.lives
        for trade in life.trades
        if (during := facts.during(trade.t))
    )


def traded_under_fault(facts: Facts) -> str:
    """An order was accepted while a fault was in."""
    return first(life.id for life in facts.lives if life.accepted and facts.during(life.accepted.t))


def stood_still_under_fault(facts: Facts) -> str:
    """While a fault was in, no order was accepted for five seconds."""
    times = sorted(life.accepted.t for life in facts.lives if life.accepted)
    return first(
        f"{later - earlier:.1f} s with {window.name} in on {window.host}"
        for window in facts.faults
        for earlier, later in pairwise(_inside(times, window.since, window.until))
        if later - earlier >= STILL_S
    )


def answered_after_lift(facts: Facts) -> str:
    """An order that was sent while a fault was in got its answer after the fault."""
    return first(
        life.id
        for window in facts.faults
        for life in facts.lives
        if life.flight and window.has(life.flight[0]) and window.until < life.flight[1] < FOREVER
    )


def taken_back(facts: Facts) -> str:
    """The venue took back a trade that the desk had booked."""
    booked = {fill.trade_id for fill in facts.cut.fills.rows} if facts.cut else set()
    booked |= {trade_id for _, line in facts.ledger("FILL") if (trade_id := line.trade_id) is not None}
    backs = [(back.to_seq, back.seq) for back in facts.of(Rollback)]
    return first(
        f"trade {trade.trade_id}"
        for life in facts.lives
        for trade in life.trades
        if trade.trade_id in booked and any(low < trade.seq < high for low, high in backs)
    )


def _inside(times: list[float], since: float, until: float) -> list[float]:
    """The window's edges, and the instants between."""
    last = max([t for t in times if t < until], default=since) if until == FOREVER else until
    return [since, *(t for t in times if since < t < until), last]


ALL = (
    fill_while_unknown, accepted_but_unknown, unknown_never_accepted, unknown_for_long, unknown_together, lost_request,
    fill_before_acknowledgement, several_fills, ended_half_filled, cancel_too_late, rejected_by_venue, in_flight_at_injection,
    in_flight_at_lift, resting_at_injection, filled_under_fault, traded_under_fault, stood_still_under_fault, answered_after_lift,
    taken_back,
)  # fmt: skip
