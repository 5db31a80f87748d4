"""I-06: at any instant at most one epoch sends. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from stormdesk.core.model import CheckResult
from stormdesk.evidence.cut import Cut
from stormdesk.evidence.cut.venue_lines import OTHERS, Request
from stormdesk.evidence.judges import ids
from stormdesk.evidence.judges.judging import MIN_ORDERS, gap, result

Sent = list[tuple[int, Request]]


def i06(cut: Cut) -> CheckResult:
    """No order of an epoch is signed after the first of a higher epoch, and each epoch is one instance's.

    Cancels do not count: they carry the id of the order, which may be a former leader's.
    """
    sent = _sent(cut)
    return result(
        "I-06",
        {"orders sent": len(sent), "epochs": len({epoch for epoch, _ in sent}), "epoch rows": len(cut.epochs)},
        unreadable=[cut.venue.problem, cut.epochs.problem, cut.orders.problem],
        floors=(
            (len(sent), MIN_ORDERS, "orders with an epoch in their id"),
            (len(cut.epochs), 1, "epoch rows"),
            (len(cut.orders), MIN_ORDERS, "order rows"),
        ),
        wrong=_of_two_leaders(cut, sent),
        doubts=[gap(cut)],
        held=f"{len(sent)} orders of {len({epoch for epoch, _ in sent})} epochs, one epoch after the other",
    )


def _sent(cut: Cut) -> Sent:
    """The desk's new orders as they came in, each with the epoch in its id."""
    sent = []
    for line in cut.venue.rows:
        if isinstance(line, Request) and line.method == "POST" and line.account not in ("", *OTHERS):
            made = ids.parse(line.client_order_id)
            if made is not None and made.epoch is not None:
                sent.append((made.epoch, line))
    return sent


def _of_two_leaders(cut: Cut, sent: Sent) -> Iterator[str]:
    first: dict[int, Request] = {}
    for epoch, line in sent:
        if epoch not in first or line.signed_t < first[epoch].signed_t:
            first[epoch] = line
    yield from _late(sent, first)
    yield from _of_two_senders(sent, first)
    granted = {row.epoch: row.instance for row in cut.epochs.rows}
    for epoch in sorted(first.keys() - granted.keys()):
        yield f"{first[epoch].client_order_id}: epoch {epoch} was never granted"
    for row in cut.orders.rows:
        if row.epoch in granted and row.instance not in (None, granted[row.epoch]):
            yield f"{row.client_order_id}: {row.instance} made it in epoch {row.epoch}, which is {granted[row.epoch]}'s"


def _late(sent: Sent, first: Mapping[int, Request]) -> Iterator[str]:
    """Orders that were signed after the first one of a higher epoch."""
    successor: dict[int, Request] = {}  # of each epoch: the earliest order of all higher ones
    earliest: Request | None = None
    for epoch in sorted(first, reverse=True):
        if earliest is not None:
            successor[epoch] = earliest
        if earliest is None or first[epoch].signed_t < earliest.signed_t:
            earliest = first[epoch]
    for epoch, line in sent:
        if epoch in successor and line.signed_t > successor[epoch].signed_t:
            late_s = line.signed_t - successor[epoch].signed_t
            yield f"{line.client_order_id}: epoch {epoch} sent it {late_s:.3f} s after {successor[epoch].client_order_id}"


def _of_two_senders(sent: Sent, first: Mapping[int, Request]) -> Iterator[str]:
    for epoch, line in sent:
        if line.remote != first[epoch].remote:
            yield f"{line.client_order_id}: epoch {epoch} sends from {first[epoch].remote} and {line.remote}"
