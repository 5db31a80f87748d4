"""The ledger's hash chain. Pure: bytes in, values out; docs/formats.md section 5 has the format.

Rules:
1. A line carries its own proof: `h` = sha256 of `prev` and the canonical line without `h`. So a line is judged alone.
2. A line that is not whole, not JSON, or does not match its `h` is bad. Bad lines are named, never skipped in silence.
3. Good lines link: `prev` is the `h` of the good line before. Over bad lines the link cannot be checked, but `seq` must
   leave room for exactly those lines; anything else is a break.
4. What follows the last newline was never acknowledged: it is the torn tail, and it is cut.
5. A line of a later version is kept as it is and counts as good when its hash does: it is not ours to rewrite.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

VERSION = 1
GENESIS = "0" * 64

Record = dict[str, Any]


def digest(record: Mapping[str, object]) -> str:
    """The `h` that belongs to a line; an `h` it already carries is left out."""
    body = {key: value for key, value in record.items() if key != "h"}
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256((str(body.get("prev", "")) + text).encode()).hexdigest()


def seal(record: Mapping[str, object], seq: int, prev: str) -> Record:
    """The whole line: the record with its version, place in the chain and hash."""
    line: Record = {"v": VERSION, "seq": seq, **record, "prev": prev}
    line["h"] = digest(line)
    return line


def encode(line: Record) -> bytes:
    """A sealed line as it stands in the file, newline included."""
    return msgspec.json.encode(line) + b"\n"


@dataclass(frozen=True)
class Bad:
    """A line that cannot be trusted: where it starts, what is there, and why."""

    offset: int
    raw: bytes
    why: str


@dataclass(frozen=True)
class Reading:
    """What a ledger file holds. `whole` is its length in bytes without the torn tail; `seq` and `head` are where the
    next line links on (`seq` counts bad lines too)."""

    records: list[Record] = field(default_factory=list)
    bad: list[Bad] = field(default_factory=list)
    breaks: list[str] = field(default_factory=list)
    whole: int = 0
    torn: bytes = b""
    seq: int = 0
    head: str = GENESIS


def judge(raw: bytes) -> Record | str:
    """One line without its newline: the record, or why it is bad."""
    try:
        record = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return f"not JSON: {error}"
    if not isinstance(record, dict) or not isinstance(record.get("seq"), int):
        return "not a ledger line"
    if digest(record) != record.get("h"):
        return "the hash does not match"
    return record


def read(data: bytes) -> Reading:
    """Read a whole file. Never raises: what is wrong is in the result."""
    whole = data.rfind(b"\n") + 1
    records: list[Record] = []
    bad: list[Bad] = []
    breaks: list[str] = []
    seq, head, skipped, offset = 0, GENESIS, 0, 0
    for raw in data[:whole].split(b"\n")[:-1]:
        verdict = judge(raw) if raw.strip() else None
        if isinstance(verdict, str):
            bad.append(Bad(offset, raw, verdict))
            skipped += 1
        elif verdict is not None:
            if verdict["seq"] != seq + skipped + 1 or (not skipped and verdict["prev"] != head):
                breaks.append(f"line seq {verdict['seq']} does not follow seq {seq} ({skipped} bad lines between)")
            seq, head, skipped = verdict["seq"], verdict["h"], 0
            records.append(verdict)
        offset += len(raw) + 1
    return Reading(records, bad, breaks, whole, data[whole:], seq + skipped, head)
