"""I-05: the ledger is whole. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping

from stormdesk.cut import Cut, Ledger
from stormdesk.invariants.judging import missing_ledgers, result
from stormdesk.model import CheckResult

MIN_LINES = 20  # ledger lines
GENESIS = "0" * 64


def i05(cut: Cut) -> CheckResult:
    """Each ledger line is whole JSON, seq has no gap, and the hash chain holds from the first line to the last."""
    lines = sum(ledger.raw.count(b"\n") for ledger in cut.ledgers)
    return result(
        "I-05",
        {"ledgers": len(cut.ledgers), "ledger lines": lines},
        unreadable=missing_ledgers(cut),
        floors=((len(cut.ledgers), 1, "ledgers"), (lines, MIN_LINES, "ledger lines")),
        wrong=(wrong for ledger in cut.ledgers for wrong in _broken_lines(ledger)),
        held=f"{lines} lines, chain and seq unbroken",
    )


def _broken_lines(ledger: Ledger) -> Iterator[str]:
    previous, seq = GENESIS, 0
    *whole, tail = ledger.raw.split(b"\n")
    for number, raw in enumerate(whole, 1):
        if not raw.strip():
            continue
        seq += 1
        try:
            line = json.loads(raw)
            claimed, prev, number_in_line = line.pop("h"), line["prev"], line["seq"]
        except (ValueError, KeyError, TypeError, AttributeError):
            yield f"{ledger.host}: line {number} is not a ledger line: {raw[:40].decode(errors='replace')!r}"
            continue
        if number_in_line != seq:
            yield f"{ledger.host}: line {number} has seq {number_in_line}, expected {seq}"
        if prev != previous:
            yield f"{ledger.host}: line {number} (seq {number_in_line}) does not link to the line before"
        if claimed != _hash(line, prev):
            yield f"{ledger.host}: line {number} (seq {number_in_line}) was altered: its hash does not match"
        previous, seq = claimed, number_in_line if isinstance(number_in_line, int) else seq
    if tail:
        yield f"{ledger.host}: the file ends in a torn line of {len(tail)} bytes"


def _hash(line: Mapping[str, object], prev: object) -> str:
    """Written anew from docs/formats.md: what wrote the ledger must not be what judges it."""
    body = json.dumps(line, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(f"{prev}{body}".encode()).hexdigest()
