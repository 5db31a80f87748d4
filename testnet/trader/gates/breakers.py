"""The circuit breakers of all symbols, and their file. It has wall-clock times, since it outlives the process."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from typing import Literal

import msgspec

from stormdesk.durable import CorruptError
from stormdesk.testnet.resilience import Breaker as Numbers
from stormdesk.testnet.trader.gates import breaker
from stormdesk.testnet.trader.gates.board import BREAKER, Board
from stormdesk.testnet.trader.gates.breaker import Breaker, Circuit
from stormdesk.testnet.trader.gates.files import StateFile

log = logging.getLogger(__name__)

Outcome = Literal["good", "failed", "unclear"]


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One symbol in `circuit_breaker.json`."""

    state: Circuit
    opened_t: float
    failures_t: list[float] = []


class Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`circuit_breaker.json`."""

    symbols: dict[str, Entry]


class Breakers:
    """One breaker for each symbol. An unreadable file opens all of them, because their state is unknown."""

    def __init__(self, file: StateFile, board: Board, symbols: Iterable[str], numbers: Numbers) -> None:
        self._file = file
        self._board = board
        self._numbers = numbers
        self._now: Callable[[], float] = time.time
        self.all = dict.fromkeys(symbols, Breaker())
        try:
            found = file.read(Document)
        except CorruptError as error:
            log.error("circuit breakers: %s; all are open", error)
            self.all = dict.fromkeys(self.all, Breaker(Circuit.OPEN, opened_at=self._now()))
        else:
            self.all |= {name: _loaded(entry, self._now()) for name, entry in found.symbols.items()} if found else {}
        for symbol in self.all:
            self._show(symbol)

    def turn(self) -> None:
        """Make breakers half open whose time has come."""
        for symbol, now in self.all.items():
            self._put(symbol, breaker.at(now, self._now(), self._numbers))

    def lets_through(self, symbol: str) -> bool:
        """Whether one more order of the symbol may be sent; the caller sends it if so."""
        self.turn()
        if not breaker.lets_through(self.all[symbol]):
            return False
        self._put(symbol, breaker.sent(self.all[symbol]))
        return True

    async def heard(self, symbol: str, outcome: Outcome) -> None:
        """Record the result of an order that was let through."""
        before = self.all[symbol]
        if outcome == "good":
            after = breaker.succeeded(before)
        elif outcome == "failed":
            after = breaker.failed(before, self._now(), self._numbers)
        else:
            after = breaker.unclear(before)
        self._put(symbol, after)
        if (after.circuit, after.failures) != (before.circuit, before.failures):
            await self._file.write(self._document())

    async def reset(self, symbol: str | None = None) -> None:
        """Close one or all, for an operator. Raises KeyError."""
        for name in [symbol] if symbol else list(self.all):
            self.all[name]
            self._put(name, Breaker())
        await self._file.write(self._document())

    def _put(self, symbol: str, new: Breaker) -> None:
        before, self.all[symbol] = self.all[symbol].circuit, new
        if new.circuit is not before:
            self._show(symbol)

    def _show(self, symbol: str) -> None:
        """The gate is closed while the breaker is OPEN."""
        now = self.all[symbol].circuit
        if now is Circuit.OPEN:
            self._board.close(f"{BREAKER}{symbol}", "the circuit breaker is OPEN")
        else:
            self._board.open(f"{BREAKER}{symbol}", f"the circuit breaker is {now}")

    def _document(self) -> Document:
        return Document({s: Entry(b.circuit, b.opened_at, list(b.failures)) for s, b in self.all.items()})


def _loaded(entry: Entry, now: float) -> Breaker:
    """A breaker from the file. Times in the future (the clock was set back) count as now."""
    past = tuple(min(t, now) for t in entry.failures_t)
    return Breaker(entry.state, past, min(entry.opened_t, now))
