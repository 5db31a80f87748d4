"""Common to all judges: how a verdict is reached, and queries of a cut that several of them need. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import InvalidOperation

from stormdesk.core.model import CheckResult, Verdict
from stormdesk.evidence.cut import Cut, ledger_name
from stormdesk.evidence.cut.lines import LedgerLine
from stormdesk.evidence.cut.venue_lines import OTHERS, Accepted, Request, VenueLine

MIN_ORDERS = 10  # venue orders, INTENT lines
DRAIN_S = 20.0  # how long a cut waits for orders in flight

Judge = Callable[[Cut], CheckResult]


def result(
    check: str,
    sources: Mapping[str, int],
    *,
    unreadable: Iterable[str] = (),
    floors: Iterable[tuple[int, int, str]] = (),
    wrong: Iterator[str],
    doubts: Iterable[str] = (),
    held: str,
) -> CheckResult:
    """Rules 2 to 4. `floors` are (seen, needed, what); empty entries in `unreadable` and `doubts` are ignored."""
    if problem := next(filter(None, unreadable), ""):
        return CheckResult(check, Verdict.UNKNOWN, problem, sources=sources)
    for seen, needed, what in floors:
        if seen < needed:
            return CheckResult(check, Verdict.UNKNOWN, f"{seen} {what} seen, at least {needed} needed", sources=sources)
    try:
        first, more = next(wrong, ""), sum(1 for _ in wrong)
    except InvalidOperation:
        return CheckResult(check, Verdict.UNKNOWN, "an amount is not a decimal number", sources=sources)
    if first:
        return CheckResult(check, Verdict.VIOLATED, first + (f" (and {more} more)" if more else ""), sources=sources)
    if doubt := next(filter(None, doubts), ""):
        return CheckResult(check, Verdict.UNKNOWN, doubt, sources=sources)
    return CheckResult(check, Verdict.HELD, held, sources=sources)


def intents_of(cut: Cut) -> dict[str, list[tuple[str, LedgerLine]]]:
    """INTENT lines by client order id, with the host whose ledger has them."""
    found: dict[str, list[tuple[str, LedgerLine]]] = defaultdict(list)
    for ledger in cut.ledgers:
        for line in ledger.lines.rows:
            if line.kind == "INTENT":
                found[line.client_order_id].append((ledger.host, line))
    return dict(found)


def put_aside(cut: Cut) -> set[str]:
    """Orders whose INTENT may be among the quarantined lines: a ledger with such lines goes on about them without one."""
    found = set()
    for ledger in cut.ledgers:
        if ledger.quarantine.rows:
            intents = {line.client_order_id for line in ledger.lines.rows if line.kind == "INTENT"}
            found |= {line.client_order_id for line in ledger.lines.rows} - intents
    return found


def not_put_aside(cut: Cut, missing: list[str]) -> list[str]:
    """What is missing in the ledgers although each line that was put aside may have been one of them."""
    return missing[sum(len(ledger.quarantine.rows) for ledger in cut.ledgers) :]


def plain(amount: str) -> str:
    """Strip trailing zeros; leave non-decimals unchanged."""
    return amount.rstrip("0").rstrip(".") if "." in amount else amount


def seen_by_venue(cut: Cut) -> dict[str, VenueLine]:
    """The first journal line about each order of the desk: its request, else its acceptance."""
    seen: dict[str, VenueLine] = {}
    by_hand = cut.external
    for line in cut.venue.rows:
        if not isinstance(line, Accepted | Request) or (isinstance(line, Request) and line.method != "POST"):
            continue
        if line.account not in ("", *OTHERS) and line.client_order_id not in by_hand:  # "": a key that nobody has
            seen.setdefault(line.client_order_id, line)
    return seen


def order_sources(cut: Cut) -> list[str]:
    return [cut.venue.problem, *missing_ledgers(cut), *(ledger.lines.problem for ledger in cut.ledgers)]


def missing_ledgers(cut: Cut) -> list[str]:
    """Every trader has a ledger, an empty one if it never led."""
    there = {ledger.host for ledger in cut.ledgers}
    traders = cut.meta.traders if cut.meta else ()
    return [cut.meta_problem, *(f"{ledger_name(host)} is missing" for host in traders if host not in there)]


def gap(cut: Cut) -> str:
    """Where the venue's journal has a hole, or ""."""
    for expected, line in enumerate(cut.venue.rows, 1):
        if line.seq != expected:
            return f"the venue's journal has a gap: seq {line.seq} where {expected} was due"
    return ""
