"""While a disk was full: orders were refused here, and the venue never heard of them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from stormdesk.core.model import CheckResult
from stormdesk.evidence.cut import Cut, Ledger
from stormdesk.evidence.cut.venue_lines import Request
from stormdesk.evidence.judges.judging import MIN_ORDERS, gap, order_sources, result

MIN_REFUSED = 20  # refused orders while a fault makes its trader refuse them
BLOCK_BYTES = 4096  # what a full file system may still take at the end of a file's last block


def refusals(cut: Cut) -> CheckResult:
    """While the disk was full: orders were refused here, and no refused order ever reached the venue."""
    fault = cut.meta.fault if cut.meta else None
    refused = _refused(cut)
    requests = sum(isinstance(line, Request) for line in cut.venue.rows)
    return result(
        "refusals",
        {"refused orders": len(refused), "venue requests": requests},
        unreadable=[
            *order_sources(cut),
            "" if fault else "no fault was in",
            cut.orders.problem,
        ],
        floors=((len(refused), MIN_REFUSED, "refused orders"), (requests, MIN_ORDERS, "venue requests")),
        wrong=_sent_while_full(cut, refused),
        doubts=[gap(cut)],
        held=f"{len(refused)} orders refused with the disk named, 0 venue calls for them",
    )


def refused_ids(cut: Cut) -> frozenset[str]:
    """The client order ids that the faulted trader refused because its disk was full."""
    return frozenset(_refused(cut))


def calls_for_refused(cut: Cut) -> int:
    """How often the venue was called for an order that was refused."""
    refused = _refused(cut)
    return sum(isinstance(line, Request) and line.client_order_id in refused for line in cut.venue.rows)


def _refused(cut: Cut) -> dict[str, float]:
    """Client order ids refused for a full disk while the fault was in, with the instant."""
    fault = cut.meta.fault if cut.meta else None
    if fault is None:
        return {}
    return {
        row.client_order_id: row.created_t
        for row in cut.orders.rows
        if row.state == "REJECTED" and (row.reason or "").startswith("disk full")
        and row.instance == fault.host and fault.injected_t <= row.created_t <= fault.lift_t
    }  # fmt: skip


def _sent_while_full(cut: Cut, refused: Mapping[str, float]) -> Iterator[str]:
    assert cut.meta is not None
    assert cut.meta.fault is not None
    for line in cut.venue.rows:
        if isinstance(line, Request) and line.client_order_id in refused:
            yield f"{line.client_order_id}: refused here, yet the venue was called (journal seq {line.seq})"
    for ledger in cut.ledgers:
        if ledger.host == cut.meta.fault.host:
            yield from _too_much_written(ledger, min(refused.values()), cut.meta.fault.lift_t)


def _too_much_written(ledger: Ledger, first_t: float, lift_t: float) -> Iterator[str]:
    """A full ext4 still takes small appends in a file's last block: INTENTs that fit there were really written, and
    their orders are legal. More than a block of them means that the disk was not full, or that nothing was written."""
    written = 0
    for line, raw in zip(ledger.lines.rows, (r for r in ledger.raw.split(b"\n") if r.strip()), strict=False):
        if line.kind == "INTENT" and first_t < line.t < lift_t:
            written += len(raw) + 1
            if written > BLOCK_BYTES:
                yield f"{line.client_order_id}: sent after the first refusal with no room left (ledger seq {line.seq})"
