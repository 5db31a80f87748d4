"""The feeder's files: what it published, its gaps, its heartbeat.

`md/<SYMBOL>.jsonl` lists all published trade ids and depth ranges, once the bus has them; a feeder that was killed finds in it
what to fetch. A full disk delays nothing: lines wait, and adjacent ranges are joined.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from stormdesk.durable import CorruptError, read_json
from stormdesk.testnet.feeder.gaps import GapLog
from stormdesk.testnet.feeder.messages import Item
from stormdesk.testnet.feeder.trades import Ranges

BEAT = "feeder.heartbeat.json"
ROTATE_BYTES = 8 << 20  # then the file becomes <name>.jsonl.1 and the one before that goes


class Received(msgspec.Struct):
    """A line of md/<SYMBOL>.jsonl: the ids `first` to `last` of trades or depth, and `how` they came."""

    t: float
    what: str
    first: int
    last: int
    how: str


class Heartbeat(msgspec.Struct):
    """feeder.heartbeat.json, written twice a second."""

    t: float
    pid: int
    run: int
    stream_age_s: dict[str, float]
    published: int
    buffered: int
    open_gaps: int


class Records:
    """Collects what was published until `write`, and writes the files."""

    def __init__(self, data_dir: Path, symbols: Sequence[str]) -> None:
        self.refusals = 0  # of the disk
        self.error = ""  # the last one, until it writes again
        self._dir = data_dir
        self._lines: dict[str, list[Received]] = {symbol: [] for symbol in symbols}

    def known_trades(self, symbol: str) -> Ranges:
        """The trades that earlier runs have published; unreadable lines are skipped."""
        known = Ranges()
        for line in _read(self._md(symbol)).splitlines():
            try:
                it = msgspec.json.decode(line, type=Received)
            except (msgspec.DecodeError, UnicodeDecodeError):
                continue
            if it.what == "trades" and 0 < it.first <= it.last:
                known.add(it.first, it.last)
        return known

    def note(self, items: Sequence[Item], now: float) -> None:
        """Record that these are on the bus."""
        for item in items:
            if not item.what:
                continue
            lines, (first, last) = self._lines[item.symbol], item.ids
            # Trades and depth alternate, so the line to extend is one of the last two.
            for it in lines[:-3:-1]:
                if it.what == item.what and it.how == item.how and it.last + 1 == first:
                    it.last, it.t = last, now
                    break
            else:
                lines.append(Received(now, item.what, first, last, item.how))

    def write(self, gaps: GapLog, beat: Heartbeat) -> None:
        """Write all waiting lines, and the heartbeat. What the disk refuses keeps waiting."""
        try:
            (self._dir / "md").mkdir(parents=True, exist_ok=True)
            _append(self._dir / "gaps.jsonl", b"".join(gaps.lines))
            gaps.lines.clear()
            for symbol, lines in self._lines.items():
                _append(self._md(symbol), b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
                lines.clear()
            _put(self._dir / BEAT, msgspec.json.encode(beat) + b"\n")
        except OSError as error:
            self.refusals += 1
            self.error = str(error)
        else:
            self.error = ""

    def former_run(self) -> int:
        """The number of the previous run; 0 when unknown."""
        try:
            beat = read_json(self._dir / BEAT, Heartbeat)
        except CorruptError:
            return 0
        return beat.run if beat else 0

    def _md(self, symbol: str) -> Path:
        return self._dir / "md" / f"{symbol}.jsonl"


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _append(path: Path, data: bytes) -> None:
    """Append whole lines or nothing. Raises OSError."""
    if not data:
        return
    with path.open("ab", buffering=0) as out:
        before = out.tell()
        try:
            if out.write(data) != len(data):
                raise OSError(f"{path}: written in part")
        except OSError:
            out.truncate(before)
            raise
        size = out.tell()
    if size > ROTATE_BYTES:
        path.replace(path.with_suffix(".jsonl.1"))


def _put(path: Path, data: bytes) -> None:
    """Readers see the old file or the new one. Not durable: a heartbeat lost in a crash was old anyway."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_bytes(data)
    fresh.replace(path)
