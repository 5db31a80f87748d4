"""Situations in which a trader refused to order: gates that were shut, and signals that were skipped. Pure."""

from __future__ import annotations

from collections.abc import Callable

from stormdesk.evidence.judges.gates import BREAKER, FLAGS, FOREVER, KILL_SWITCH, REPEATS, STOP, Shut
from stormdesk.evidence.situations.facts import Facts, first


def duplicate_signal(facts: Facts) -> str:
    """A signal came a second time and was skipped."""
    return _skipped(facts, "DUPLICATE_SIGNAL")


def sell_without_position(facts: Facts) -> str:
    """A SELL without a position was skipped."""
    return _skipped(facts, "SKIP_NO_POSITION")


def no_quote(facts: Facts) -> str:
    """A signal was skipped because there was no fresh quote."""
    return _skipped(facts, "NO_QUOTE")


def price_refused(facts: Facts) -> str:
    """A price outside its collar, or a flash price, was refused."""
    return _skipped(facts, "PRICE_COLLAR", "FLASH_PRICE")


def balance_in_doubt(facts: Facts) -> str:
    """An order was refused because the balance was never fetched or too old."""
    return _skipped(facts, "BALANCE_NEVER_FETCHED", "BALANCE_NOT_FRESH")


def too_poor(facts: Facts) -> str:
    """An order was refused because the balance was too small for it."""
    return _skipped(facts, "INSUFFICIENT_BALANCE")


def limit_reached(facts: Facts) -> str:
    """An order was refused by a limit of quantity, value or messages."""
    return _skipped(facts, "MAX_ORDER_QTY", "MAX_ORDER_VALUE", "MAX_MESSAGES")


def queue_full(facts: Facts) -> str:
    """A signal was skipped because the throttle's queue was full."""
    return _skipped(facts, "THROTTLE_QUEUE_FULL")


def no_database(facts: Facts) -> str:
    """A signal was skipped because the database could not be asked."""
    return _skipped(facts, "NO_DATABASE")


def signal_at_a_shut_gate(facts: Facts) -> str:
    """A signal came while a gate was shut."""
    return _skipped(facts, "GATE_CLOSED", "BREAKER", "REPEATED_EXECUTION")


def disk_refused(facts: Facts) -> str:
    """An order was refused because its ledger's disk was full."""
    rows = facts.cut.orders.rows if facts.cut else ()
    refused = (row for row in rows if row.state == "REJECTED" and row.created_t >= facts.since)
    return first(f"{row.client_order_id}: {row.reason}" for row in refused if "disk full" in (row.reason or ""))


def kill_switch_on(facts: Facts) -> str:
    """A kill switch was on."""
    return _shut(facts, lambda gate: gate in ("kill_switch", KILL_SWITCH))


def desk_paused(facts: Facts) -> str:
    """The desk was paused."""
    return _shut(facts, lambda gate: gate == "pause")


def breaker_open(facts: Facts) -> str:
    """The breaker of a symbol was open."""
    return _shut(facts, lambda gate: gate.startswith(BREAKER))


def strategy_blocked(facts: Facts) -> str:
    """A strategy that ordered too often was blocked."""
    return _shut(facts, lambda gate: gate.startswith(REPEATS))


def stopped_by_guard(facts: Facts) -> str:
    """A guard's file forbade a host to order."""
    return _shut(facts, lambda gate: gate in ("stop", "read_only", STOP, FLAGS))


def broker_gone(facts: Facts) -> str:
    """The venue had said that its connection to the market is lost."""
    return _shut(facts, lambda gate: gate == "broker")


def reopened_and_traded(facts: Facts) -> str:
    """An order was accepted after a gate that was shut under a fault had opened again."""
    times = [life.accepted.t for life in facts.lives if life.accepted]
    return first(
        f"{gate.gate} of {gate.host}"
        for gate in facts.gates
        if gate.until < FOREVER and facts.during(gate.since) and any(t > gate.until for t in times)
    )


def in_flight_at_a_closing_gate(facts: Facts) -> str:
    """An order was on its way when a gate of its trader closed, and the venue accepted it."""
    return first(
        f"{life.id}: {gate.gate} of {gate.host}"
        for gate in facts.gates
        for life in facts.lives
        if life.host == gate.host and life.accepted and life.flight and life.flight[0] < gate.since < life.accepted.t
    )


def two_gates(facts: Facts) -> str:
    """Two gates of one trader were shut at once."""
    return first(
        f"{one.gate} and {other.gate} of {one.host}"
        for n, one in enumerate(facts.gates)
        for other in facts.gates[n + 1 :]
        if one.host == other.host and one.gate != other.gate and one.since < other.until and other.since < one.until
    )


def filled_behind_a_shut_gate(facts: Facts) -> str:
    """An order was filled while a gate of its trader was shut: nothing new is sent, but what rests goes on trading."""
    return first(
        f"{life.id}: {gate.gate} of {gate.host}"
        for gate in facts.gates
        for life in facts.lives
        if life.host == gate.host and any(gate.since < trade.t < gate.until for trade in life.trades)
    )


def _skipped(facts: Facts, *reasons: str) -> str:
    return first(f"line {line.seq} of {host}'s ledger: {line.reason}" for host, line in facts.ledger("SKIP") if line.reason in reasons)


def _shut(facts: Facts, wanted: Callable[[str], bool]) -> str:
    def said(gate: Shut) -> str:
        return f"{gate.gate} of {gate.host}" + ("" if gate.until == FOREVER else f", for {gate.until - gate.since:.1f} s")

    return first(said(gate) for gate in facts.gates if wanted(gate.gate))


ALL = (
    duplicate_signal, sell_without_position, no_quote, price_refused, balance_in_doubt, too_poor, limit_reached, queue_full, no_database,
    signal_at_a_shut_gate, disk_refused, kill_switch_on, desk_paused, breaker_open, strategy_blocked, stopped_by_guard, broker_gone,
    reopened_and_traded, in_flight_at_a_closing_gate, two_gates, filled_behind_a_shut_gate,
)  # fmt: skip
