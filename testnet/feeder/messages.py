"""The venue's market messages as values, and their form on the bus. Pure.

Everything is validated here: a message that does not fit its stream raises `MalformedError`, and changes nothing.
"""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

import msgspec

from stormdesk.testnet.feeder.books import Level
from stormdesk.testnet.feeder.trades import Range

KINDS = ("depth@100ms", "trade", "bookTicker")


class MalformedError(ValueError):
    """A malformed message of the venue."""


class Wire(msgspec.Struct):
    """A message of the combined stream."""

    stream: str
    data: msgspec.Raw


class DepthEvent(msgspec.Struct, rename={"symbol": "s", "first": "U", "last": "u", "bids": "b", "asks": "a"}):
    """A depthUpdate. `raw` is the message itself."""

    symbol: str
    first: int
    last: int
    bids: list[Level]
    asks: list[Level]
    raw: bytes = b""


class TradeEvent(msgspec.Struct, rename={"symbol": "s", "trade_id": "t"}):
    """A trade: the fields that we use."""

    symbol: str
    trade_id: int


class TickerEvent(msgspec.Struct, rename={"symbol": "s", "update": "u"}):
    """A bookTicker: the fields that we use."""

    symbol: str
    update: int


class Snapshot(msgspec.Struct, rename="camel"):
    """The answer of GET depth."""

    last_update_id: int
    bids: list[Level]
    asks: list[Level]


class OldTrade(msgspec.Struct, rename="camel"):
    """One trade of GET historicalTrades."""

    id: int
    price: str
    qty: str
    time: int
    is_buyer_maker: bool


class Item(NamedTuple):
    """A message for the bus. `what` is trades or depth with its ids, or empty; `how` is where it came from."""

    symbol: str
    id: str
    stream: str
    data: bytes
    what: str = ""
    ids: Range = (0, 0)
    how: str = "stream"


class _Named(msgspec.Struct):
    """An event without a stream."""

    e: str


Event = DepthEvent | TradeEvent | TickerEvent
_WIRE = msgspec.json.Decoder(Wire)
_EVENTS: dict[str, msgspec.json.Decoder[Event]] = {
    "depth@100ms": msgspec.json.Decoder(DepthEvent),
    "trade": msgspec.json.Decoder(TradeEvent),
    "bookTicker": msgspec.json.Decoder(TickerEvent),
}
_SNAPSHOT = msgspec.json.Decoder(Snapshot)
_OLD_TRADES = msgspec.json.Decoder(list[OldTrade])
Garbage = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ArithmeticError)


def names(symbols: list[str]) -> dict[str, tuple[str, str]]:
    """Symbol and kind of each stream that we follow."""
    return {f"{symbol.lower()}@{kind}": (symbol, kind) for symbol in symbols for kind in KINDS}


def parse(text: bytes, streams: dict[str, tuple[str, str]]) -> tuple[str, Event, bytes]:
    """The stream, the event and its raw text. Raises MalformedError."""
    try:
        wire = _WIRE.decode(text)
        symbol, kind = streams[wire.stream]
        event = _EVENTS[kind].decode(wire.data)
        if type(event) is DepthEvent:
            _check(event.bids, event.asks)
            if not 0 < event.first <= event.last:
                raise MalformedError(f"update ids {event.first} to {event.last}")
    except (*Garbage, KeyError) as error:
        raise MalformedError(str(error)) from error
    if event.symbol != symbol:
        raise MalformedError(f"{event.symbol} on {wire.stream}")
    return wire.stream, event, one_line(bytes(wire.data))


def is_farewell(text: bytes) -> bool:
    """Whether it is serverShutdown: the venue will close the connection."""
    try:
        return msgspec.json.decode(text, type=_Named).e == "serverShutdown"
    except Garbage:
        return False


def number(event: Event) -> int:
    """The number that grows with each message of a stream."""
    if isinstance(event, TradeEvent):
        return event.trade_id
    return event.last if isinstance(event, DepthEvent) else event.update


def parse_snapshot(text: bytes) -> Snapshot:
    """A book. Raises MalformedError."""
    try:
        snapshot = _SNAPSHOT.decode(text)
        _check(snapshot.bids, snapshot.asks)
    except Garbage as error:
        raise MalformedError(str(error)) from error
    return snapshot


def parse_trades(text: bytes) -> list[OldTrade]:
    """Trades, oldest first. Raises MalformedError."""
    try:
        return sorted(_OLD_TRADES.decode(text), key=lambda trade: trade.id)
    except Garbage as error:
        raise MalformedError(str(error)) from error


def _check(*sides: list[Level]) -> None:
    for levels in sides:
        for price, qty in levels:
            if not (price > 0 and qty >= 0 and price.is_finite() and qty.is_finite()):
                raise MalformedError(f"level {price} {qty}")


def one_line(raw: bytes) -> bytes:
    """A JSON document without line breaks (inside strings they are escaped)."""
    return raw.replace(b"\n", b" ").replace(b"\r", b" ") if b"\n" in raw or b"\r" in raw else raw


# -- what goes on the bus; ids are made of the content, so that the same message has the same id for ever -------------


def of_event(stream: str, event: Event, raw: bytes) -> Item:
    """An unchanged message."""
    if isinstance(event, TradeEvent):
        number = event.trade_id
        return Item(event.symbol, f"{event.symbol}:trade:{number}", stream, raw, "trades", (number, number))
    if isinstance(event, DepthEvent):
        ids = (event.first, event.last)
        return Item(event.symbol, f"{event.symbol}:depth:{event.first}-{event.last}", stream, raw, "depth", ids)
    return Item(event.symbol, f"{event.symbol}:ticker:{event.update}", stream, raw)


def of_snapshot(symbol: str, last_update_id: int, text: bytes) -> Item:
    """A book after resynchronisation: the answer of GET depth with the keys `e` "snapshot" and `s`."""
    raw = b'{"e":"snapshot","s":"%b",%b' % (symbol.encode(), one_line(text.strip())[1:])
    ids = (last_update_id, last_update_id)
    stream = f"{symbol.lower()}@depth@100ms"
    return Item(symbol, f"{symbol}:snapshot:{last_update_id}", stream, raw, "depth", ids, "snapshot")


def of_old_trade(symbol: str, trade: OldTrade) -> Item:
    """A fetched trade, in the format of the stream."""
    data = {
        "e": "trade", "E": trade.time, "s": symbol, "t": trade.id, "p": trade.price, "q": trade.qty, "T": trade.time,
        "m": trade.is_buyer_maker, "M": True,
    }  # fmt: skip
    raw, ids = msgspec.json.encode(data), (trade.id, trade.id)
    return Item(symbol, f"{symbol}:trade:{trade.id}", f"{symbol.lower()}@trade", raw, "trades", ids, "backfill")


def plain(levels: dict[Decimal, Decimal], *, best_high: bool) -> list[tuple[str, str]]:
    """A side of a book as text, best price first."""
    return [(str(price), str(levels[price])) for price in sorted(levels, reverse=best_high)]
