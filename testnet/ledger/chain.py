"""The ledger's hash chain. Pure: bytes in, values out; docs/formats/ledger.md has the format.

Rules:
1. A line proves itself: `h` = sha256 of `prev` and the canonical line without `h`. So each line can be judged alone.
2. A line that is not whole, not JSON, or does not match its `h` is bad. Bad lines are reported, never skipped silently.
3. Good lines link: `prev` is the `h` of the good line before. Over bad lines the link cannot be checked, but `seq` must
   leave room for exactly those lines; anything else is a break.
4. Bytes after the last newline were never acknowledged: they are the torn tail, and are cut off.
5. A line of a later version is good if its hash is right, and is kept unchanged.
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
    """The `h` of a line; an existing `h` is ignored."""
    body = {key: value for key, value in record.items() if key != "h"}
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256((str(body.get("prev", "")) + text).encode()).hexdigest()


def seal(record: Mapping[str, object], seq: int, prev: str) -> Record:
    """The complete line: the record with its version, place in the chain and hash."""
    line: Record = {"v": VERSION, "seq": seq, **record, "prev": prev}
    line["h"] = digest(line)
    return line


def encode(line: Record) -> bytes:
    """The bytes of a sealed line, newline included."""
    return msgspec.json.encode(line) + b"\n"


@dataclass(frozen=True)
class Bad:
    """A bad line: its offset, its bytes, and why."""

    offset: int
    raw: bytes
    why: str


@dataclass
class Reading:
    """The result of reading a ledger file. `whole` is its length in bytes without the torn tail; the next line follows `seq` and
    `head` (`seq` counts bad lines too); `later` counts the good lines of later versions."""

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
    except (ValueError, RecursionError) as error:  # valid JSON without a canonical form
        return f"no canonical form: {error}"
    return record if matches else "the hash does not match"


def _is_line(record: Mapping[str, object]) -> bool:
    numbers = all(type(record.get(key)) is int for key in ("v", "seq"))
    return numbers and all(isinstance(record.get(key), str) for key in ("prev", "h"))


def follow(lines: Iterable[bytes], reading: Reading) -> Iterator[Record]:
    """The good lines of a file, one by one, so that memory does not grow with its length. When they are exhausted, `reading`
    has the errors and the end of the chain. Never raises. `lines` keep their newlines."""
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
