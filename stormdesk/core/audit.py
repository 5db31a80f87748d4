"""The audit log of a run directory: a chain of hashes over its files, so that a change made afterwards is named. Pure.

docs/formats/run-record.md has the format. Later lines about a file replace earlier ones; those about events.jsonl go on where the
last one ended, because that file only grows.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from stormdesk.core import journal

if sys.version_info >= (3, 12):
    from typing import override
else:
    from typing_extensions import override

NAME = "audit.jsonl"
EVENTS = "events.jsonl"
SHORT = 16  # hex digits of a line's hash; the hash of all of them is whole


class Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line: what a file held at `t` (seconds since 1970), and why it was written then: run, note, report.

    `sha256` and `size` (bytes) are of the whole file; of events.jsonl they are of its lines from `first` on, and `lines` has the
    start of the SHA-256 of each. `h` is the SHA-256 of `prev`, the `h` of the line before, and of this line without `h`.
    """

    seq: int
    t: float
    why: str
    file: str
    size: int
    sha256: str
    first: int = 1
    lines: tuple[str, ...] = ()
    prev: str = ""
    h: str = ""


@dataclass(frozen=True)
class Finding:
    """Something that is not as it was: in which file, in which line (0: the file as a whole), and what."""

    file: str
    line: int
    why: str

    @override
    def __str__(self) -> str:
        return f"{self.file}{f':{self.line}' if self.line else ''}: {self.why}"


@dataclass(frozen=True)
class Chain:
    """The lines that can be trusted, and what is wrong with the others."""

    entries: tuple[Entry, ...]
    findings: tuple[Finding, ...]

    @property
    def head(self) -> str:
        """The end of the chain; "" when there is none."""
        return self.entries[-1].h if self.entries else ""

    @property
    def events(self) -> int:
        """How many lines of events.jsonl it covers."""
        return max((e.first - 1 + len(e.lines) for e in self.entries if e.file == EVENTS), default=0)


def read(audit: bytes) -> Chain:
    """The chain in an audit log."""
    entries: list[Entry] = []
    findings: list[Finding] = []
    after_damage = False
    for number, line in enumerate(_lines(audit), 1):
        entry = _entry(line)
        if entry is None and not after_damage:  # a line that was split is one that was altered
            findings.append(Finding(NAME, number, "altered from this line on; what it covers cannot be verified"))
        elif entry is not None and not after_damage and entry.prev != (entries[-1].h if entries else ""):
            findings.append(
                Finding(NAME, number, "this line does not follow the one before: lines were taken out or moved")
            )
        after_damage = entry is None
        entries += [entry] if entry else []
    return Chain(tuple(entries), tuple(findings))


def extended(chain: Chain, files: Mapping[str, bytes], t: float, why: str) -> bytes:
    """The lines to append for what these files hold now. Of events.jsonl only what is new is covered: what was sealed stays so."""
    made = b""
    seq, prev = (chain.entries[-1].seq, chain.head) if chain.entries else (0, "")
    for name, content in sorted(files.items()):
        known = chain.events if name == EVENTS else 0
        fresh = _lines(content)[known:]
        if name == EVENTS and not fresh:
            continue
        seq, data = seq + 1, b"".join(fresh)
        entry = Entry(
            seq=seq, t=t, why=why, file=name, size=len(data), sha256=_sha(data), first=known + 1,
            lines=tuple(map(_short, fresh)) if name == EVENTS else (), prev=prev,
        )  # fmt: skip
        prev = _link(entry)
        made += _encode(msgspec.structs.replace(entry, h=prev))
    return made


def verify(audit: bytes, files: Mapping[str, bytes], head: str = "") -> list[Finding]:
    """What differs from what was sealed. `files` are all of the run directory but the audit log; `head` is the end of the chain, or of
    an earlier state of it, that somebody kept elsewhere."""
    chain = read(audit)
    found = list(chain.findings)
    if head and not any(entry.h.startswith(head) for entry in chain.entries):
        found.append(Finding(NAME, 0, f"no line of it ends in {head}: it is another chain"))
    latest = {entry.file: entry for entry in chain.entries if entry.file != EVENTS}
    spared = [finding.line for finding in chain.findings]  # lines that cannot be read may be about any file
    for name in sorted({*files, *latest} - {EVENTS}):
        entry = latest.get(name)
        if name not in files:
            found.append(Finding(name, 0, "is missing"))
        elif spared and (entry is None or entry.seq <= max(spared)):
            continue
        elif entry is None:
            found.append(Finding(name, 0, "is not in the audit log: it was added later"))
        elif entry.sha256 != _sha(files[name]):
            found.append(Finding(name, 0, _differs(entry, files[name])))
    parts = [entry for entry in chain.entries if entry.file == EVENTS]
    if EVENTS in files or parts:
        found += _events(parts, files.get(EVENTS), complete=not spared)
    return found


def unsealed(events: bytes) -> list[Finding]:
    """What is wrong with the events of a run that has no audit log: their own sums are all there is."""
    return [
        Finding(EVENTS, number, "this line was altered or damaged")
        for number, line in enumerate(_lines(events), 1)
        if line.strip() and journal.decode(line) is None
    ]


def _events(parts: Sequence[Entry], data: bytes | None, *, complete: bool) -> Iterable[Finding]:
    """What differs in events.jsonl; `complete`: all that is said of it could be read."""
    if data is None:
        return [Finding(EVENTS, 0, "is missing")]
    known: dict[int, str] = {part.first + n: short for part in parts for n, short in enumerate(part.lines)}
    there = _lines(data)
    said = [known.get(number) for number in range(1, max(known, default=0) + 1)]
    if len(there) > len(said) and all(map(_same, said, there)):
        which = "this line is" if len(there) == len(said) + 1 else "this line and those after it are"
        added = Finding(EVENTS, len(said) + 1, f"{which} not in the audit log: added later")
        return [added] if complete else []
    if len(there) == len(said):
        pairs = enumerate(zip(said, there, strict=True), 1)
        bad = [
            Finding(EVENTS, number, "this line was altered")
            for number, (short, line) in pairs
            if not _same(short, line)
        ]
        return bad or _whole(parts, there)
    start = next(
        (n for n, (short, line) in enumerate(zip(said, there, strict=False)) if not _same(short, line)), len(there)
    )
    gone = len(said) - len(there)
    what = (
        f"{gone} line{'' if gone == 1 else 's'} went" if gone > 0 else f"{-gone} line{'' if gone == -1 else 's'} came"
    )
    return [Finding(EVENTS, start + 1, f"altered from this line on: {what}")]


def _whole(parts: Sequence[Entry], there: Sequence[bytes]) -> list[Finding]:
    """The hash of all lines of a part, in case two lines have the same short one."""
    pieces = [(part, b"".join(there[part.first - 1 : part.first - 1 + len(part.lines)])) for part in parts]
    return [
        Finding(EVENTS, part.first, "altered in this line or below")
        for part, data in pieces
        if part.sha256 != _sha(data)
    ]


def _differs(entry: Entry, data: bytes) -> str:
    """Why a file is not what was sealed."""
    if entry.size != len(data):
        return f"was altered: it had {entry.size} bytes and has {len(data)}"
    return "was altered"


def _entry(line: bytes) -> Entry | None:
    """The entry of a line; None unless each byte is as it was written."""
    try:
        entry = msgspec.json.decode(line, type=Entry)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return entry if entry.h == _link(entry) and _encode(entry) == line else None


def _link(entry: Entry) -> str:
    return _sha(entry.prev.encode() + _canonical(msgspec.structs.replace(entry, h="")))


def _encode(entry: Entry) -> bytes:
    return _canonical(entry) + b"\n"


def _canonical(entry: Entry) -> bytes:
    return json.dumps(msgspec.to_builtins(entry), sort_keys=True, separators=(",", ":")).encode()


def _lines(data: bytes) -> list[bytes]:
    """Lines with their ends; only "\\n" ends one."""
    return [piece + b"\n" for piece in data.split(b"\n")[:-1]] + ([rest] if (rest := data.rpartition(b"\n")[2]) else [])


def _same(short: str | None, line: bytes) -> bool:
    return short is None or short == _short(line)


def _short(line: bytes) -> str:
    return _sha(line)[:SHORT]


def _sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
