"""The ledger's reader: it never raises, never skips a line silently, and a second reading gives the same result."""

from __future__ import annotations

import msgspec

from stormdesk.testnet.ledger import chain
from stormdesk.testnet.trader import trace


def check(data: bytes) -> None:
    """Raises AssertionError, or whatever the reader raises, when these bytes are handled wrongly."""
    records, reading = chain.read(data)
    assert data[reading.whole :] == reading.torn
    assert b"\n" not in reading.torn
    lines = [line for line in data[: reading.whole].split(b"\n") if line.strip()]
    assert len(records) + len(reading.bad) == len(lines), "a line was skipped"
    for bad in reading.bad:
        assert data[bad.offset :].startswith(bad.raw + b"\n")
        assert bad.why
    again, same = chain.read(data[: reading.whole])
    assert (again, same.bad, same.breaks, same.torn) == (records, reading.bad, reading.breaks, b"")
    line = chain.seal({"kind": "NEXT"}, reading.seq + 1, reading.head)
    longer, after = chain.read(data[: reading.whole] + chain.encode(line))
    assert longer == [*records, line]
    assert after.breaks == reading.breaks, "the next line does not follow"
    trace.fold(records)
    _check_sealed(lines)


def _check_sealed(lines: list[bytes]) -> None:
    """The same content with hashes that match, for no other bytes get that far."""
    data, seq, prev = b"", 0, chain.GENESIS
    for raw in lines:
        try:
            content = msgspec.json.decode(raw, type=dict[str, object])
            line = chain.seal({k: v for k, v in content.items() if k not in ("seq", "prev", "h")}, seq + 1, prev)
            encoded = chain.encode(line)
        except (msgspec.DecodeError, UnicodeError, RecursionError, OverflowError):
            continue  # not an object, or nothing that we could ever write
        if type(line["v"]) is int:
            data, seq, prev = data + encoded, seq + 1, line["h"]
    records, reading = chain.read(data)
    assert (len(records), reading.bad, reading.breaks) == (seq, [], [])
    trace.fold(records)
