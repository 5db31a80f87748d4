"""The ledger's hash chain. Pure: bytes in, values out; docs/formats/ledger.md has the format.

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
import io
import json
from collections.abc import Iterable, Iterator, Mapping
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


@dataclass
class Reading:
    """What a ledger file holds. `whole` is its length in bytes without the torn tail; `seq` and `head` are where the
    next line links on (`seq` counts bad lines too); `later` counts the good lines of later versions."""

    bad: list[Bad] = field(default_factory=list)
    breaks: list[str] = field(default_factory=list)
    later: int = 0
    whole: int = 0
    torn: bytes = b""
    seq: int = 0
    head: str = GENESIS


def judge(raw: bytes) -> Record | str:
    """One line without its newline: the record, or why it is bad. Never raises."""
    try:
        record = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return f"not JSON: {error}"
    if not isinstance(record, dict) or not _is_line(record):
        return "not a ledger line"
    try:
        matches = digest(record) == record["h"]
    except (ValueError, RecursionError) as error:  # what JSON can say and its canonical form cannot
        return f"no canonical form: {error}"
    return record if matches else "the hash does not match"


def _is_line(record: Mapping[str, object]) -> bool:
    numbers = all(type(record.get(key)) is int for key in ("v", "seq"))
    return numbers and all(isinstance(record.get(key), str) for key in ("prev", "h"))


def follow(lines: Iterable[bytes], reading: Reading) -> Iterator[Record]:
    """The good lines of a file, one by one, so that memory does not grow with its length; what is wrong, and where the
    chain ends, is in `reading` when they are through. Never raises. `lines` keep their newlines."""
    skipped = 0
    for raw in lines:
        if not raw.endswith(b"\n"):
            reading.torn = raw
            break
        verdict = judge(raw) if raw.strip() else None
        if isinstance(verdict, str):
            reading.bad.append(Bad(reading.whole, raw[:-1], verdict))
            skipped += 1
        elif verdict is not None:
            if verdict["seq"] != reading.seq + skipped + 1 or (not skipped and verdict["prev"] != reading.head):
                reading.breaks.append(
                    f"line seq {verdict['seq']} does not follow seq {reading.seq} ({skipped} bad lines between)"
                )
            reading.seq, reading.head, skipped = verdict["seq"], verdict["h"], 0
            reading.later += verdict["v"] > VERSION
            yield verdict
        reading.whole += len(raw)
    reading.seq += skipped


def read(data: bytes) -> tuple[list[Record], Reading]:
    """The good lines of a whole file, and what is wrong with it. Never raises."""
    reading = Reading()
    return list(follow(io.BytesIO(data), reading)), reading
