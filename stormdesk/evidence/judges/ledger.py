"""I-05: the ledger is whole. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from stormdesk.core.model import CheckResult
from stormdesk.evidence.cut import Cut, Ledger
from stormdesk.evidence.judges.judging import missing_ledgers, result

MIN_LINES = 20  # ledger lines
GENESIS = "0" * 64


def i05(cut: Cut) -> CheckResult:
    """Each ledger line is whole JSON, seq has no gap, and the hash chain holds; only lines that were put aside are
    excepted, and those stand in the ledger as they were put aside."""
    lines = sum(ledger.raw.count(b"\n") for ledger in cut.ledgers)
    aside = sum(len(ledger.quarantine) for ledger in cut.ledgers)
    return result(
        "I-05",
        {"ledgers": len(cut.ledgers), "ledger lines": lines, "quarantined lines": aside},
        unreadable=missing_ledgers(cut),
        floors=((len(cut.ledgers), 1, "ledgers"), (lines, MIN_LINES, "ledger lines")),
        wrong=(wrong for ledger in cut.ledgers for wrong in (*_rewritten(ledger), *_broken_lines(ledger))),
        held=f"{lines} lines, chain and seq unbroken" + (f", {aside} put aside" if aside else ""),
    )


def _rewritten(ledger: Ledger) -> Iterator[str]:
    """What is in quarantine must still stand in the ledger: it is evidence."""
    for number, bad in enumerate(ledger.quarantine.rows, 1):
        before, here = ledger.raw[: bad.offset][-1:], ledger.raw[bad.offset : bad.offset + len(bad.data) + 1]
        if not bad.data or before not in (b"", b"\n") or here != bad.data + b"\n":
            yield f"{ledger.host}: quarantine line {number} is not what stands in the ledger at offset {bad.offset}"


def _broken_lines(ledger: Ledger) -> Iterator[str]:
    """Good lines link; over lines that are put aside the link cannot be checked, but seq leaves room for just those."""
    aside = {bad.offset for bad in ledger.quarantine.rows}
    previous, seq, skipped, offset = GENESIS, 0, 0, 0
    *whole, tail = ledger.raw.split(b"\n")
    for number, raw in enumerate(whole, 1):
        at, offset = offset, offset + len(raw) + 1
        if not raw.strip():
            continue
        where = f"{ledger.host}: line {number}"
        line = _read(raw)
        if not isinstance(line, dict):
            skipped += 1
            if at not in aside:
                yield f"{where} {line}: {raw[:40].decode(errors='replace')!r}"
            continue
        if at in aside:
            yield f"{where} is put aside and nothing is wrong with it"
        if line["seq"] != seq + skipped + 1:
            yield f"{where} has seq {line['seq']}, expected {seq + skipped + 1}"
        if not skipped and line["prev"] != previous:
            yield f"{where} (seq {line['seq']}) does not link to the line before"
        previous, seq, skipped = line["h"], line["seq"], 0
    if tail:
        yield f"{ledger.host}: the file ends in a torn line of {len(tail)} bytes"


def _read(raw: bytes) -> dict[str, Any] | str:
    """A line whose hash is right, or why it is none."""
    try:
        line: dict[str, Any] = json.loads(raw)
        body = {key: value for key, value in line.items() if key != "h"}
        matches = line["h"] == _hash(body, line["prev"]) and type(line["seq"]) is int
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return "is not a ledger line"
    return line if matches else "was altered, its hash does not match"


def _hash(line: Mapping[str, object], prev: object) -> str:
    """Written anew from docs/formats/ledger.md: what wrote the ledger must not be what judges it."""
    body = json.dumps(line, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(f"{prev}{body}".encode()).hexdigest()
