"""The feeder's state of its symbols, and the effect of each message. Pure: times are arguments.

Messages to publish are in the outbox, in order. Missing data is in `trades` and in books that are out of sync; `feed` fetches it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from stormdesk.testnet.feeder import messages
from stormdesk.testnet.feeder.books import LocalBook, Step
from stormdesk.testnet.feeder.gaps import GapLog
from stormdesk.testnet.feeder.messages import DepthEvent, Item, TradeEvent
from stormdesk.testnet.feeder.metrics import Counts
from stormdesk.testnet.feeder.outbox import Outbox
from stormdesk.testnet.feeder.trades import Ranges, Seen, Trades


class Market:
    """All symbols. `known` are the trades that earlier runs have published."""

    def __init__(self, known: Mapping[str, Ranges], outbox: Outbox, counts: Counts) -> None:
        self.books = {symbol: LocalBook() for symbol in known}
        self.trades = {symbol: Trades(ranges) for symbol, ranges in known.items()}
        self.outbox = outbox
        self.gaps = GapLog()
        self._counts = counts
        self._streams = messages.names(list(known))
        self.farewell = False  # the venue announced that it will close this connection
        self._newest: dict[str, int] = {}  # of each stream on this connection

    def left_open(self, now: float) -> None:
        """Note the gaps that earlier runs left."""
        for symbol, trades in self.trades.items():
            for ids in trades.missing.ranges:
                self.gaps.begin(now, symbol, "trades", ids, "restart")

    def disconnected(self, now: float) -> None:
        """Mark everything out of sync."""
        self._newest.clear()
        self.farewell = False
        for symbol, book in self.books.items():
            self._lose_sync(symbol, book, now, "connection")

    def receive(self, text: bytes, now: float) -> str:
        """Process a message of the stream; returns the symbol that it updates, "" when it is malformed or old: a venue that only
        repeats itself counts as silent."""
        self._counts.messages += 1
        try:
            stream, event, raw = messages.parse(text, self._streams)
        except messages.MalformedError:
            self.farewell = messages.is_farewell(text)
            self._counts.malformed += not self.farewell
            return ""
        number = messages.number(event)
        news = number > self._newest.get(stream, -1)
        if news:
            self._newest[stream] = number
        if type(event) is TradeEvent:
            self._trade(messages.of_event(stream, event, raw), now, "sequence")
        elif type(event) is DepthEvent:
            event.raw = raw
            self._depth(stream, event, now)
        elif news:
            self._put(messages.of_event(stream, event, raw), now)
        return event.symbol if news else ""

    def snapshot(self, symbol: str, text: bytes, now: float) -> bool:
        """Process the answer of GET depth. False when it does not fit the waiting events: fetch another. Raises MalformedError."""
        book, it = self.books[symbol], messages.parse_snapshot(text)
        news = book.load(it.last_update_id, it.bids, it.asks)
        if news is None:
            self._counts.refetched += 1
            return False
        self._counts.resyncs += 1
        self.gaps.book_synced(now, symbol, it.last_update_id)
        self._put(messages.of_snapshot(symbol, it.last_update_id, text), now)
        for event in news:
            assert isinstance(event, DepthEvent)
            self._put(messages.of_event(f"{symbol.lower()}@depth@100ms", event, event.raw), now)
        return True

    def old_trades(self, symbol: str, asked: int, text: bytes, now: float) -> int:
        """Process the answer of GET historicalTrades from id `asked` on; returns its number of trades. Raises MalformedError."""
        answered = messages.parse_trades(text)
        for it in answered:
            self._trade(messages.of_old_trade(symbol, it), now, "connection")
        trades = self.trades[symbol]
        absent = trades.proven_absent(asked, [it.id for it in answered])
        self.gaps.trades_came(now, symbol, trades.missing, absent)
        return len(answered)

    def _trade(self, item: Item, now: float, why: str) -> None:
        trades, (number, _) = self.trades[item.symbol], item.ids
        before = trades.last or 0
        seen = trades.see(number)
        if seen is Seen.OLD:
            return
        if seen is Seen.GAP:
            self._counts.trade_gaps += 1
            self.gaps.begin(now, item.symbol, "trades", (before + 1, number - 1), why)
        if item.how == "backfill":
            self._counts.backfilled += 1
        self._put(item, now)

    def _depth(self, stream: str, event: DepthEvent, now: float) -> None:
        book = self.books[event.symbol]
        step = book.apply(event)
        if step is Step.APPLIED:
            self._put(messages.of_event(stream, event, event.raw), now)
        elif step is Step.GAP:
            self._counts.sequence_gaps += 1
            self.gaps.begin(now, event.symbol, "depth", ((book.before or 0) + 1, 0), "sequence")

    def _put(self, item: Item, now: float) -> None:
        gone = self.outbox.put(item, now)
        if gone is None:
            return
        if gone.what == "trades":
            self.trades[gone.symbol].lose(gone.ids[0])
            self.gaps.begin(now, gone.symbol, "trades", gone.ids, "overflow")
        elif gone.what == "depth":
            self._lose_sync(gone.symbol, self.books[gone.symbol], now, "overflow")

    def _lose_sync(self, symbol: str, book: LocalBook, now: float, why: str) -> None:
        synced = book.last is not None
        book.lose_sync()
        if synced:
            self.gaps.begin(now, symbol, "depth", ((book.before or 0) + 1, 0), why)


def sides(book: LocalBook) -> dict[str, Sequence[tuple[str, str]]]:
    """A book's levels as text, best price first."""
    return {"bids": messages.plain(book.bids, best_high=True), "asks": messages.plain(book.asks, best_high=False)}
