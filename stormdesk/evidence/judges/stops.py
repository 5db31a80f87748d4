"""I-19: what a person stopped stays stopped until a person lifts it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from stormdesk.core.model import CheckResult
from stormdesk.evidence.cut import Cut
from stormdesk.evidence.cut.lines import Ordered
from stormdesk.evidence.cut.venue_lines import Accepted
from stormdesk.evidence.judges.judging import MIN_ORDERS, gap, result
from stormdesk.evidence.judges.kills import ABORT, apart_s, pulls, resets

PAUSE, RESUME = "stack.pause", "stack.resume"


@dataclass(frozen=True)
class Stop:
    """The desk told somebody at `since` that it was stopped, and nobody lifted it before `until`. Seconds since 1970."""

    what: str
    by: str
    since: float
    until: float


def i19(cut: Cut) -> CheckResult:
    """From the end of a pause, abort or kill that came about until a person's resume or reset is given, no order is accepted; what was
    on its way may arrive within the request timeout. Whatever the traders' own gates say."""
    found, accepted = stops(cut), cut.accepted()
    return result(
        "I-19",
        {"stops by people": len(found), "venue orders": len(accepted)},
        unreadable=[cut.meta_problem, cut.venue.problem, cut.operators.problem],
        floors=((len(accepted), MIN_ORDERS, "venue orders"), (len(found), 1, "stops that lasted long enough")),
        wrong=_through(cut, found, accepted),
        doubts=[gap(cut)],
        held=f"{len(accepted)} venue orders, none in {len(found)} stops by people",
    )


def stops(cut: Cut) -> list[Stop]:
    """Those that lasted for longer than an order may be on its way, as the operators' log has them."""
    if cut.meta is None:
        return []
    found, end = [], cut.meta.hold.ended
    for what, begins, lifts in (("pause", _pauses, _resumes), ("kill", pulls, resets)):
        on: Ordered | None = None
        for order in cut.operators.rows:
            if on is None and begins(order) and order.phase == "done" and order.exit_code == 0:
                on = order
            elif on is not None and lifts(order) and order.phase == "ordered":
                found.append(Stop(what, on.by, on.t, order.t))
                on = None
        if on is not None:
            found.append(Stop(what, on.by, on.t, max(end, on.t)))
    return [stop for stop in found if stop.since + cut.meta.grace_s + apart_s(cut) < stop.until]


def _pauses(order: Ordered) -> bool:
    return order.task in (PAUSE, ABORT)


def _resumes(order: Ordered) -> bool:
    return order.task == RESUME


def _through(cut: Cut, found: list[Stop], accepted: list[Accepted]) -> Iterator[str]:
    assert cut.meta is not None
    apart = apart_s(cut)
    for order in accepted:
        for stop in found:
            if stop.since + cut.meta.grace_s + apart < order.t < stop.until - apart:
                late = f"accepted {order.t - stop.since:.1f} s after the {stop.what} by {stop.by}, which nobody had lifted"
                yield f"{order.client_order_id}: {late}"
