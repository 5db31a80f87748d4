"""A consistent cut of a trading stack, read from its files. Pure; docs/formats/cut.md has the formats.

Rules:
1. Reading never raises: a file that is missing or cannot be read leaves its reason in `problem`, and no rows.
2. Nothing is corrected, sorted or dropped here: what a file says is what the judges see.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from typing import Generic, TypeVar

import msgspec

from stormdesk.evidence.cut import operators
from stormdesk.evidence.cut.lines import (
    Balances,
    Book,
    BusMessage,
    Consumer,
    EpochRow,
    FillRow,
    LedgerLine,
    Meta,
    Ordered,
    OrderRow,
    PositionRow,
    Processes,
    Quarantined,
    Received,
    Residue,
    StateFile,
)
from stormdesk.evidence.cut.venue_lines import (
    HOUSE,
    OTHERS,
    VENUE,
    Accepted,
    Ended,
    Mark,
    Open,
    Rollback,
    Trade,
    VenueLine,
)

_MD_PREFIX = "md-"
_LEDGER_PREFIX, _QUARANTINE_PREFIX, _LEDGER_SUFFIX = "ledger-", "quarantine-", ".jsonl"


T = TypeVar("T")


@dataclass(frozen=True)
class Rows(Generic[T]):
    """The lines of one source; `problem` says why they cannot be used."""

    rows: tuple[T, ...] = ()
    problem: str = ""

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True)
class Ledger:
    """One trader's ledger: the bytes as they stand in the file, and its lines as far as they can be read."""

    host: str
    raw: bytes
    lines: Rows[LedgerLine]
    quarantine: Rows[Quarantined] = field(default_factory=Rows)


@dataclass(frozen=True)
class Cut:
    """All sources of one instant. A source that is missing or unreadable says so in its own `problem`."""

    meta: Meta | None
    meta_problem: str
    venue: Rows[VenueLine]
    ledgers: tuple[Ledger, ...]
    orders: Rows[OrderRow]
    fills: Rows[FillRow]
    positions: Rows[PositionRow]
    balances: Balances
    balances_problem: str
    residue: Mapping[str, Residue]
    residue_problem: str
    epochs: Rows[EpochRow]
    processes: Processes
    processes_problem: str
    state_files: Mapping[str, Mapping[str, StateFile]]  # by host, then by path below the data folder
    state_files_problem: str
    received: Mapping[str, tuple[Received, ...]]  # by symbol, in the order in which it was published
    received_problem: str
    books: Mapping[str, Book]  # the feeder's
    books_problem: str
    depth: Mapping[str, Book]  # the venue's, of the same updates
    depth_problem: str
    bus: Rows[BusMessage]  # its end
    consumers: Mapping[str, Consumer]
    consumers_problem: str
    operators: Rows[Ordered]

    @property
    def desk(self) -> frozenset[str]:
        """The accounts whose orders are the desk's traders'."""
        opened = (name for line in self.venue.rows if isinstance(line, Open) for name in line.accounts)
        return frozenset(opened) - OTHERS

    @property
    def external(self) -> frozenset[str]:
        """Client order ids of orders that somebody placed by hand at the venue: no trader made them."""
        marks = (line for line in self.venue.rows if isinstance(line, Mark) and line.what == "external-order")
        return frozenset(str(mark.detail.get("client_order_id")) for mark in marks)

    def accepted(self) -> list[Accepted]:
        """The orders of the desk's traders, in the venue's order."""
        by_hand = self.external
        orders = (line for line in self.venue.rows if isinstance(line, Accepted) and line.account not in OTHERS)
        return [order for order in orders if order.client_order_id not in by_hand]

    def made(self) -> list[Trade]:
        """The desk's side of all trades that were ever made."""
        return [line for line in self.venue.rows if isinstance(line, Trade) and line.account not in OTHERS]

    def trades(self) -> list[Trade]:
        """The desk's side of its trades, but for those that the venue took back."""
        back = [(line.to_seq, line.seq) for line in self.venue.rows if isinstance(line, Rollback)]
        return [trade for trade in self.made() if not any(first < trade.seq < last for first, last in back)]


def parse(files: Mapping[str, bytes]) -> Cut:
    """A cut from its files by name (docs/formats/cut.md)."""
    meta, meta_problem = _document(files, "meta.json", Meta)
    balances, balances_problem = _document(files, "balances.json", Balances)
    residue, residue_problem = _document(files, "residue.json", dict[str, Residue])
    processes, processes_problem = _document(files, "processes.json", Processes)
    state_files, state_files_problem = _document(files, "state-files.json", dict[str, dict[str, StateFile]])
    books, books_problem = _document(files, "books.json", dict[str, Book])
    depth, depth_problem = _document(files, "depth.json", dict[str, Book])
    consumers, consumers_problem = _document(files, "consumers.json", dict[str, Consumer])
    received, received_problem = _received(files)
    hosts = sorted(n[len(_LEDGER_PREFIX) : -len(_LEDGER_SUFFIX)] for n in files if fnmatch(n, ledger_name("*")))
    return Cut(
        meta=meta,
        meta_problem=meta_problem,
        venue=venue(files),
        ledgers=tuple(_ledger(host, files) for host in hosts),
        orders=_rows(files, "orders.jsonl", OrderRow),
        fills=_rows(files, "fills.jsonl", FillRow),
        positions=_rows(files, "positions.jsonl", PositionRow),
        balances=balances or {},
        balances_problem=balances_problem,
        residue=residue or {},
        residue_problem=residue_problem,
        epochs=_rows(files, "epochs.jsonl", EpochRow),
        processes=processes or {},
        processes_problem=processes_problem,
        state_files=state_files or {},
        state_files_problem=state_files_problem,
        received=received,
        received_problem=received_problem,
        books=books or {},
        books_problem=books_problem,
        depth=depth or {},
        depth_problem=depth_problem,
        bus=_rows(files, "bus.jsonl", BusMessage),
        consumers=consumers or {},
        consumers_problem=consumers_problem,
        operators=Rows(*operators.read(files.get("operators.jsonl"))),
    )


def venue(files: Mapping[str, bytes]) -> Rows[VenueLine]:
    """The venue's journal."""
    if "venue.jsonl" not in files:
        return Rows(problem="venue.jsonl is missing")
    rows = []
    for number, raw in _numbered(files["venue.jsonl"]):
        try:
            kind = msgspec.json.decode(raw, type=VenueLine).kind
            rows.append(msgspec.json.decode(raw, type=VENUE.get(kind, VenueLine)))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return Rows(problem=f"venue.jsonl line {number}: {error}")
    return Rows(tuple(rows))


def ledger_name(host: str) -> str:
    """The file of a trader's ledger in a cut."""
    return f"{_LEDGER_PREFIX}{host}{_LEDGER_SUFFIX}"


def quarantine_name(host: str) -> str:
    """The file of what a trader has put aside of its ledger; it is missing where there is nothing."""
    return f"{_QUARANTINE_PREFIX}{host}{_LEDGER_SUFFIX}"


def md_name(symbol: str) -> str:
    """The file of what a feeder received of a symbol."""
    return f"{_MD_PREFIX}{symbol}{_LEDGER_SUFFIX}"


def last_seq(journal: bytes) -> int:
    """The number of a venue journal's last line; 0 for an empty one, or when that line cannot be read."""
    try:
        return msgspec.json.decode(journal.rstrip(b"\n").rpartition(b"\n")[2], type=VenueLine).seq
    except (msgspec.DecodeError, UnicodeDecodeError):
        return 0


def about_the_desk(journal: bytes) -> int:
    """How many lines of a piece of the venue's journal are about an account of the desk."""
    lines = venue({"venue.jsonl": journal}).rows
    return sum(getattr(line, "account", HOUSE) not in OTHERS for line in lines)


def settled(cut: Cut) -> bool:
    """Have PostgreSQL and the ledgers caught up with the venue? Trades and ends of orders reach a trader a bit later.

    A reading that is not settled is read again, until the drain's deadline; what it then says is judged as it is.
    """
    known = {fill.trade_id for fill in cut.fills.rows}
    open_rows = {o.client_order_id for o in cut.orders.rows if o.state in ("NEW", "PARTIALLY_FILLED", "PENDING_NEW")}
    ended = {line.client_order_id for line in cut.venue.rows if isinstance(line, Ended) and line.account not in OTHERS}
    torn = any(ledger.raw and not ledger.raw.endswith(b"\n") for ledger in cut.ledgers)
    return (
        not torn
        and not ended & open_rows
        and known >= {trade.trade_id for trade in cut.trades()}
        and market_data_came(cut)
    )


def market_data_came(cut: Cut) -> bool:
    """Has the feeder the venue's last trade of each symbol that it knows?"""
    return all(_has_last_trade(cut, symbol) for symbol in cut.received)


def _has_last_trade(cut: Cut, symbol: str) -> bool:
    made = [line.trade_id for line in cut.venue.rows if isinstance(line, Trade) and line.symbol == symbol]
    came = [line.last for line in cut.received[symbol] if line.what == "trades"]
    return not (made and came) or max(came) >= max(made)


def _ledger(host: str, files: Mapping[str, bytes]) -> Ledger:
    name, aside = ledger_name(host), quarantine_name(host)
    quarantine = Rows(tuple(_quarantined(files.get(aside, b""))))
    raw = files[name]
    good = bytearray(raw)
    for bad in quarantine.rows:  # a line that is put aside stays in the file: blank it, so that line numbers stay
        good[bad.offset : bad.offset + len(bad.data)] = b" " * len(raw[bad.offset : bad.offset + len(bad.data)])
    return Ledger(host, raw, _rows({name: bytes(good)}, name, LedgerLine), quarantine)


def _received(files: Mapping[str, bytes]) -> tuple[dict[str, tuple[Received, ...]], str]:
    """A feeder's files by symbol."""
    names = sorted(name for name in files if name.startswith(_MD_PREFIX))
    found = {name.removeprefix(_MD_PREFIX).removesuffix(_LEDGER_SUFFIX): _rows(files, name, Received) for name in names}
    problem = next((rows.problem for rows in found.values() if rows.problem), "" if names else "md-*.jsonl is missing")
    return {symbol: rows.rows for symbol, rows in found.items()}, problem


def _quarantined(data: bytes) -> Iterator[Quarantined]:
    """What can be read of it: a line that its writer did not finish excepts nothing."""
    for _, raw in _numbered(data):
        try:
            yield msgspec.json.decode(raw, type=Quarantined)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue


def _rows(files: Mapping[str, bytes], name: str, kind: type[T]) -> Rows[T]:
    if name not in files:
        return Rows(problem=f"{name} is missing")
    decoder = msgspec.json.Decoder(kind)
    rows = []
    for number, raw in _numbered(files[name]):
        try:
            rows.append(decoder.decode(raw))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return Rows(problem=f"{name} line {number}: {error}")
    return Rows(tuple(rows))


def _document(files: Mapping[str, bytes], name: str, kind: type[T]) -> tuple[T | None, str]:
    if name not in files:
        return None, f"{name} is missing"
    try:
        return msgspec.json.decode(files[name], type=kind), ""
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return None, f"{name}: {error}"


def _numbered(data: bytes) -> Iterable[tuple[int, bytes]]:
    """Lines with their numbers, blank ones left out."""
    return ((number, raw) for number, raw in enumerate(data.split(b"\n"), 1) if raw.strip())
