"""I-08: the feeder's market data is complete, and its books are the venue's. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from stormdesk.core.model import CheckResult
from stormdesk.evidence.cut import Cut
from stormdesk.evidence.cut.lines import Book, Received
from stormdesk.evidence.cut.venue_lines import Rollback, Trade, VenueLine
from stormdesk.evidence.judges.judging import gap, plain, result

MIN_TRADES = 3  # of all symbols
MIN_UPDATES = 20  # update ids of all books
DEPTH = 1000  # levels of a side that a snapshot has: what lies deeper a reader cannot know


def i08(cut: Cut) -> CheckResult:
    """Every trade since the feeder's first is in its files, by stream or backfill; depth follows without a gap but for
    snapshots; at one update id its book is the venue's, level by level."""
    emitted = _emitted(cut)
    traded = {line.symbol for line in cut.venue.rows if isinstance(line, Trade)}
    trades = sum(map(len, emitted.values()))
    updates = sum(
        line.last - line.first + 1 for lines in cut.received.values() for line in lines if line.what == "depth"
    )
    streamed = sum(len(_ids(cut.received[symbol], "stream") & ids) for symbol, ids in emitted.items())
    return result(
        "I-08",
        {"trades": trades, "trades by stream": streamed, "book updates": updates, "books": len(cut.books)},
        unreadable=[cut.venue.problem, cut.received_problem, cut.books_problem, cut.depth_problem],
        floors=(
            (len(emitted), max(1, len(traded)), "symbols of which a trade came"),
            (trades, MIN_TRADES, "trades"),
            (updates, MIN_UPDATES, "book updates"),
            (sum(symbol in cut.books and symbol in cut.depth for symbol in cut.received), len(cut.received), "books"),
        ),
        wrong=_incomplete(cut, emitted),
        doubts=[gap(cut)],
        held=f"{trades} trades, {trades - streamed} of them by backfill; {len(cut.books)} books equal level by level",
    )


def _emitted(cut: Cut) -> dict[str, set[int]]:
    """The venue's trades of each symbol, from the first that the feeder knows on. Those taken back since still were."""
    first = {symbol: min((line.first for line in lines if line.what == "trades"), default=None)
             for symbol, lines in cut.received.items()}  # fmt: skip
    emitted: dict[str, set[int]] = defaultdict(set)
    for line in cut.venue.rows:
        if isinstance(line, Trade) and (start := first.get(line.symbol)) is not None and line.trade_id >= start:
            emitted[line.symbol].add(line.trade_id)
    return emitted


def _ids(lines: Sequence[Received], how: str = "") -> set[int]:
    """The trade ids that came, or came in that way."""
    ranges = [line for line in lines if line.what == "trades" and how in ("", line.how)]
    return {number for line in ranges for number in range(line.first, line.last + 1)}


def _incomplete(cut: Cut, emitted: Mapping[str, set[int]]) -> Iterator[str]:
    void = {trade.trade_id for trade in _void(cut.venue.rows)}
    for symbol, lines in sorted(cut.received.items()):
        came, all_of_them = _ids(lines), emitted.get(symbol, set())
        if missing := sorted(all_of_them - came - void):
            share = 1 - len(missing) / len(all_of_them)
            yield f"{symbol}: trade {missing[0]} never came, nor {len(missing) - 1} others ({share:.1%} complete)"
        if invented := sorted(came - {trade.trade_id for trade in cut.venue.rows if isinstance(trade, Trade)}):
            yield f"{symbol}: trade {invented[0]} came, and the venue never made it"
        yield from _gaps(symbol, lines)
        yield from _other_book(symbol, cut.books.get(symbol), cut.depth.get(symbol))


def _void(lines: Sequence[VenueLine]) -> Iterator[Trade]:
    """Trades that the venue took back: whoever missed them cannot get them any more."""
    back = [(line.to_seq, line.seq) for line in lines if isinstance(line, Rollback)]
    return (t for t in lines if isinstance(t, Trade) and any(first < t.seq < last for first, last in back))


def _gaps(symbol: str, lines: Sequence[Received]) -> Iterator[str]:
    """`U == prev u + 1`, but for a snapshot, which stands for all before it."""
    last: int | None = None
    for line in lines:
        if line.what != "depth":
            continue
        if line.how != "snapshot" and (last is None or line.first > last + 1):
            yield f"{symbol}: update {line.first} came after {last or 'nothing'}, without a snapshot"
        last = line.last


def _other_book(symbol: str, book: Book | None, depth: Book | None) -> Iterator[str]:
    if book is None or depth is None:
        return
    if not book.synced:
        yield f"{symbol}: the feeder's book is out of sync since update {book.update_id}"
    if book.update_id != depth.update_id:
        yield f"{symbol}: the feeder's book is of update {book.update_id}, the venue's of {depth.update_id}"
        return
    for side, ours, theirs in (("bid", book.bids, depth.bids), ("ask", book.asks, depth.asks)):
        for number, (mine, its) in enumerate(zip(_levels(ours), _levels(theirs), strict=False), 1):
            if mine != its:
                yield f"{symbol} at update {book.update_id}: {side} {number} is {mine}, at the venue {its}"
                break
        if min(len(ours), DEPTH) != min(len(theirs), DEPTH):
            yield f"{symbol} at update {book.update_id}: {len(ours)} {side}s, at the venue {len(theirs)}"


def _levels(side: Sequence[tuple[str, str]]) -> list[str]:
    """Best price first; numbers, not their text."""
    return [f"{plain(qty)} at {plain(price)}" for price, qty in side[:DEPTH]]
