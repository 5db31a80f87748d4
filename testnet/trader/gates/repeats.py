"""The repeated-execution throttle: a strategy that signals too often is blocked until a named person opens it again."""

from __future__ import annotations

import time
from collections import defaultdict

import msgspec

from stormdesk.durable import CorruptError
from stormdesk.testnet.people import person
from stormdesk.testnet.resilience import Risk
from stormdesk.testnet.trader.gates.board import EVERY, REPEATS, Board
from stormdesk.testnet.trader.gates.files import StateFile
from stormdesk.testnet.trader.window import SlidingWindow


class Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`execution/repeats_state.json`: strategy to why it is closed."""

    closed: dict[str, str]


class Repeats:
    """Counts the signals of each strategy."""

    def __init__(self, file: StateFile, board: Board, numbers: Risk) -> None:
        self._file = file
        self._board = board
        self._limit, self._span_s = numbers.repeats, numbers.repeat_window_s
        self._seen: dict[str, SlidingWindow] = defaultdict(lambda: SlidingWindow(self._span_s, self._limit))
        try:
            found = file.read(Document)
            self.closed = dict(found.closed) if found else {}
        except CorruptError as error:
            self.closed = {EVERY: str(error)}  # it is unknown which strategies were closed
        for strategy, reason in self.closed.items():
            board.close(REPEATS + strategy, reason)

    def closed_for(self, strategy: str) -> str:
        """Why the strategy must not order, or ""."""
        return self.closed.get(strategy) or self.closed.get(EVERY, "")

    async def count(self, strategy: str) -> None:
        """Count a signal; the first one above the limit closes the strategy."""
        window, now = self._seen[strategy], time.monotonic()
        window.add(1, now)
        if window.used(now) > self._limit and strategy not in self.closed:
            reason = f"more than {self._limit} signals of {strategy} in {self._span_s:g} s"
            self.closed[strategy] = reason
            self._board.close(REPEATS + strategy, reason)
            await self._file.write(Document(self.closed))

    async def reset(self, by: str, strategy: str | None = None) -> None:
        """Open one strategy or all. Raises NotAPersonError, and OSError when the file cannot be written."""
        name = person(by)
        left = {s: reason for s, reason in self.closed.items() if strategy is not None and s != strategy}
        if not await self._file.write(Document(left)):
            raise OSError(f"{self._file.path} was not written: it stays closed")
        for gone in self.closed.keys() - left.keys():
            self._seen.pop(gone, None)
            self._board.open(REPEATS + gone, f"reset by {name}")
        self.closed = left
