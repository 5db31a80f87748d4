"""Situations of leaders, of the venue, of market data, of the guards, and of faults that meet. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from stormdesk.evidence.cut.venue_lines import Early, Mark, Open, Request, Rollback, Throttled, VenueFault
from stormdesk.evidence.judges import ids
from stormdesk.evidence.situations.facts import Facts, Sample, first, values

SILENT_S = 2.0  # an answer may be late by less
LAST_S = 3.0  # a sample this long before an instant still says how it was then


def nobody_led(facts: Facts) -> str:
    """Nobody led."""
    return first(f"at {sample['t']:.1f}" for n, sample in enumerate(facts.samples) if _none(facts, facts.samples[: n + 1], "leaders"))


def two_said_they_lead(facts: Facts) -> str:
    """Two traders said at once that they lead."""
    return first(f"at {t:.1f}" for t, leaders in values(facts.samples, "leaders") if leaders > 1)


def fault_while_nobody_led(facts: Facts) -> str:
    """A fault began while nobody led."""
    return first(
        f"{window.name} on {window.host}"
        for window in facts.faults
        if _none(facts, [s for s in facts.samples if window.since - LAST_S <= s["t"] <= window.since], "leaders")
    )


def _none(facts: Facts, samples: Sequence[Sample], name: str) -> bool:
    """Do these end with no trader that leads, or is ready? One that is silent for a moment may still be: unless all traders answered, it
    takes two seconds of that."""
    zeros: list[Sample] = []
    for sample in reversed(samples):
        if (sample.get("metrics") or {}).get(name) != 0:
            break
        zeros.append(sample)
    answered = any(facts.traders <= facts.told(sample) for sample in zeros)
    return bool(zeros) and (answered or zeros[0]["t"] - zeros[-1]["t"] >= SILENT_S)


def leader_changed_under_fault(facts: Facts) -> str:
    """Another trader was granted the lead while a fault was in."""
    return first(f"epoch {row.epoch} to {row.instance}" for row in facts.takeovers if facts.during(row.granted_t))


def in_flight_at_takeover(facts: Facts) -> str:
    """An order was on its way or UNKNOWN when another trader was granted the lead."""
    return first(
        f"{life.id}, epoch {row.epoch}"
        for row in facts.takeovers
        for life in facts.lives
        for span in (life.flight, life.unknown)
        if span and span[0] < row.granted_t < span[1]
    )


def deposed_leader_sent(facts: Facts) -> str:
    """An order of an older epoch came to the venue after a newer one had been granted."""
    granted = {row.epoch: row.granted_t for row in facts.cut.epochs.rows} if facts.cut else {}
    return first(
        f"{request.client_order_id} after epoch {newer}"
        for request in facts.of(Request)
        if request.method == "POST" and (made := ids.parse(request.client_order_id)) and made.epoch is not None
        for newer, t in granted.items()
        if newer > made.epoch and request.t > t
    )


def told_to_wait(facts: Facts) -> str:
    """The venue answered 429 and asked for silence."""
    return first(f"until {line.until:.1f}" for line in facts.of(Throttled) if line.status == 429)


def banned(facts: Facts) -> str:
    """The venue answered 418: banned."""
    return first(f"until {line.until:.1f}" for line in facts.of(Throttled) if line.status == 418)


def came_early(facts: Facts) -> str:
    """Somebody who had been told to wait came too early."""
    return first(f"{line.remote} before {line.until:.1f}" for line in facts.of(Early))


def trades_rolled_back(facts: Facts) -> str:
    """The venue took trades back."""
    return first(f"all after line {line.to_seq}" for line in facts.of(Rollback))


def order_by_hand(facts: Facts) -> str:
    """Somebody traded by hand for the desk's account."""
    marks = (line for line in facts.of(Mark) if line.what == "external-order")
    return first(str(line.detail.get("client_order_id")) for line in marks)


def venue_restarted(facts: Facts) -> str:
    """The venue began anew while the desk went on."""
    return first(f"line {line.seq} of its journal" for line in facts.of(Open) if line.seq > 1)


def event_was_held(facts: Facts) -> str:
    """A fault went in while the event it was aimed at was held."""
    come = [line for line in facts.of(Mark) if line.what == "breakpoint" and line.detail.get("state") == "holding"]
    held = (event for event in facts.events if event["event"] == "breakpoint.over" and event.get("held"))
    return first(f"{event.get('at')}" for event in held) or first(
        f"{line.detail.get('on')}" for line in come if facts.during(line.t)
    )


def venue_fault_under_fault(facts: Facts) -> str:
    """A fault of the venue began while a fault of a host was in."""
    lines = (line for line in facts.of(VenueFault) if line.on)
    return first(f"{line.name} with {during.name} on {during.host}" for line in lines if (during := facts.during(line.t)))


def two_faults(facts: Facts) -> str:
    """Two faults were in at the same time."""
    return first(
        f"{one.name} on {one.host} and {other.name} on {other.host}"
        for n, one in enumerate(facts.faults)
        for other in facts.faults[n + 1 :]
        if one.since < other.until and other.since < one.until
    )


def fault_before_recovery(facts: Facts) -> str:
    """A fault began after another one had ended and before an order was accepted again."""
    times = [life.accepted.t for life in facts.lives if life.accepted]
    return first(
        f"{later.name} on {later.host}"
        for earlier in facts.faults
        for later in facts.faults
        if earlier.until < later.since and not any(earlier.until < t < later.since for t in times)
    )


def nobody_answered(facts: Facts) -> str:
    """No trader answered at all."""
    return first(f"at {sample['t']:.1f}" for sample in facts.samples if sample.get("metrics") is None and sample.get("phase") != "steady")


def not_ready(facts: Facts) -> str:
    """No trader was ready to trade."""
    return first(f"at {sample['t']:.1f}" for n, sample in enumerate(facts.samples) if _none(facts, facts.samples[: n + 1], "ready"))


def refused_then_traded(facts: Facts) -> str:
    """Orders were refused while a fault was in, and accepted again later."""
    refused = pairwise(values(facts.samples, "refused"))
    grown = [t for (_, before), (t, after) in refused if after > before and facts.during(t)]
    accepted = pairwise(values(facts.samples, "accepted"))
    return first(f"at {t:.1f}" for (_, before), (t, after) in accepted if grown and t > grown[0] and after > before)


def backfilled(facts: Facts) -> str:
    """Market data that was missed was fetched later."""
    return first(f"{symbol}: {line.what} {line.first} to {line.last}" for symbol, line in facts.received if line.how == "backfill")


def book_built_anew(facts: Facts) -> str:
    """The feeder lost the thread of a book and began it anew from a snapshot."""
    received = facts.cut.received if facts.cut else {}
    begun = {symbol: next((line for line in lines if line.how == "snapshot"), None) for symbol, lines in received.items()}
    snapshots = ((symbol, line) for symbol, line in facts.received if line.how == "snapshot" and line is not begun[symbol])
    return first(f"{symbol}: at update {line.last}" for symbol, line in snapshots)


def message_twice(facts: Facts) -> str:
    """A message lay twice on the bus."""
    counts = Counter(row.id for row in (facts.cut.bus.rows if facts.cut else ()))
    return first(name for name, count in counts.items() if count > 1)


def line_put_aside(facts: Facts) -> str:
    """A ledger had a line that could not be read, and went on without it."""
    ledgers = facts.cut.ledgers if facts.cut else ()
    return first(f"{ledger.host}: byte {row.offset}" for ledger in ledgers for row in ledger.quarantine.rows)


def guard_restarted(facts: Facts) -> str:
    """A guard restarted its service."""
    return first(f"{host}: {said['stage']}" for _, host, said in facts.documents("guard") if said.get("stage") in ("RESTART", "REWIRE"))


def guard_gave_up(facts: Facts) -> str:
    """A guard gave up: FAILSAFE."""
    return first(f"{host}: {said['stage']}" for _, host, said in facts.documents("guard") if said.get("stage") in ("FAILSAFE", "NOTIFY"))


def stream_lost_while_market_lives(facts: Facts) -> str:
    """A trader's own stream of fills was gone while market data went on."""
    return first(
        f"{host} at {t:.1f}"
        for t, host, said in facts.documents()
        if said.get("user_stream") is False and ((said.get("components") or {}).get("Feeder") or {}).get("ok") is True
    )


ALL = (
    nobody_led, two_said_they_lead, fault_while_nobody_led, leader_changed_under_fault, in_flight_at_takeover, deposed_leader_sent,
    told_to_wait, banned, came_early, trades_rolled_back, order_by_hand, venue_restarted, event_was_held, venue_fault_under_fault,
    two_faults, fault_before_recovery, nobody_answered, not_ready, refused_then_traded, backfilled, book_built_anew, message_twice,
    line_put_aside, guard_restarted, guard_gave_up, stream_lost_while_market_lives,
)  # fmt: skip
