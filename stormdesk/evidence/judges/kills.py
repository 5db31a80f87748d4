"""I-17: after a kill switch was pulled, no order of the desk is open at the venue. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from stormdesk.core.model import CheckResult
from stormdesk.evidence.cut import Cut
from stormdesk.evidence.cut.lines import Ordered
from stormdesk.evidence.cut.venue_lines import OTHERS, Accepted, Ended, Open, Trade, VenueFault
from stormdesk.evidence.judges.gates import FOREVER
from stormdesk.evidence.judges.judging import gap, result

KILL, ABORT = "stack.kill-switch", "stack.abort"
WAY_S = 2.0  # from the command to the traders
CLOCKS_S = 3.0  # by which the clocks of the operator and the venue may differ where they are two


@dataclass(frozen=True)
class Kill:
    """All kill switches were pulled at `since`; by `empty_by` no order may be open any more, until `until`. Seconds since 1970."""

    since: float
    empty_by: float
    until: float
    by: str


@dataclass
class _Life:
    """An order of the desk at the venue."""

    accepted: Accepted
    left: Decimal
    ended: float = FOREVER


def i17(cut: Cut) -> CheckResult:
    """From `verify_s` after a kill until it is lifted no order of any account of the desk is open, whatever the symbol, and whatever
    the traders said. The time begins anew when a fault ends that kept cancels from the venue."""
    found = kills(cut)
    lives = _lives(cut)
    return result(
        "I-17",
        {"kills": len(found), "venue orders": len(lives)},
        unreadable=[cut.meta_problem, cut.venue.problem, cut.operators.problem],
        floors=((len(found), 1, "kills that lasted long enough"),),
        wrong=_left_open(found, lives),
        doubts=[gap(cut)],
        held=f"{len(found)} kills, none of {len(lives)} orders was open once they had taken effect",
    )


def pulls(order: Ordered) -> bool:
    """Is it about pulling all kill switches?"""
    return order.task == ABORT or (order.task == KILL and bool(order.options.get("on")))


def resets(order: Ordered) -> bool:
    """Is it about resetting them?"""
    return order.task == KILL and bool(order.options.get("off"))


def kills(cut: Cut) -> list[Kill]:
    """Those that lasted long enough to be judged, as the operators' log has them."""
    if cut.meta is None:
        return []
    on: Ordered | None = None
    found = []
    for order in cut.operators.rows:
        if pulls(order) and order.phase == "ordered" and on is None:
            on = order
        elif pulls(order) and order.phase == "refused" and on is not None and on.id == order.id:
            on = None
        elif resets(order) and order.phase == "ordered" and on is not None:
            found.append(Kill(on.t, _empty_by(cut, on.t, order.t), order.t, on.by))
            on = None
    if on is not None:
        until = cut.meta.hold.ended
        found.append(Kill(on.t, _empty_by(cut, on.t, until), until, on.by))
    return [kill for kill in found if kill.empty_by < kill.until]


def _empty_by(cut: Cut, since: float, until: float) -> float:
    """When the book must be empty: so long after the kill, or after what kept cancels from the venue."""
    assert cut.meta is not None
    free, faults = since, 0
    for line in cut.venue.rows:
        if line.t > until:
            break
        if isinstance(line, VenueFault):
            faults = max(0, faults + (1 if line.on else -1))
        elif isinstance(line, Open):
            faults = 0
        if line.t > since and (faults or isinstance(line, VenueFault | Open)):
            free = line.t
    if faults:
        return FOREVER
    fault = cut.meta.fault
    if fault is not None and fault.injected_t < until and fault.lift_t > since:
        free = max(free, fault.lift_t)
    return free + cut.meta.verify_s + WAY_S + apart_s(cut)


def apart_s(cut: Cut) -> float:
    """How far an operator's instants may be from the venue's."""
    return 0.0 if cut.meta is None or cut.meta.one_clock else CLOCKS_S


def _lives(cut: Cut) -> list[_Life]:
    lives = {a.order_id: _Life(a, Decimal(a.qty)) for a in cut.accepted()}
    for line in cut.venue.rows:
        if isinstance(line, Trade) and line.account not in OTHERS and (life := lives.get(line.order_id)):
            life.left -= Decimal(line.qty)
            if life.left <= 0:
                life.ended = min(life.ended, line.t)
        elif isinstance(line, Ended) and (life := lives.get(line.order_id)):
            life.ended = min(life.ended, line.t)
    return list(lives.values())


def _left_open(found: list[Kill], lives: list[_Life]) -> Iterator[str]:
    for kill in found:
        for life in lives:
            seen = max(life.accepted.t, kill.empty_by)
            if seen < min(life.ended, kill.until):
                order = life.accepted
                how = "accepted" if order.t >= kill.empty_by else "still open"
                yield f"{order.client_order_id} ({order.symbol}): {how} {seen - kill.since:.1f} s after the kill by {kill.by}"
