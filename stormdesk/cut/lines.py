"""The lines and documents of a cut, one struct for each kind; docs/formats.md sections 4-6 and 9 say what they mean. Pure.

Amounts stay decimal strings until a judge adds them up. Keys that are not named here are left alone.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

HOUSE = "house"


# -- meta.json ---------------------------------------------------------------------------------------------------------


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """When new intents were held, and when trading was resumed."""

    started: float
    ended: float


class Recovery(msgspec.Struct, frozen=True, kw_only=True):
    """The recovery clock: when it started, when the stack was steady again (None: never seen), and its budget."""

    start: float = msgspec.field(name="from")
    recovered_at: float | None
    rto_s: float


class FaultWindow(msgspec.Struct, frozen=True, kw_only=True):
    """Which fault was in, where, and from when to when; `refusals`: it must have made the trader there refuse orders."""

    name: str
    host: str
    injected_t: float
    lift_t: float
    refusals: bool = True


class Meta(msgspec.Struct, frozen=True, kw_only=True):
    """What the cut is of. `drain_s` is None when orders were still in flight at its deadline; `left` says which."""

    t: float
    environment: str
    hosts: tuple[str, ...]
    traders: tuple[str, ...]
    drain_s: float | None
    left: dict[str, dict[str, int]] = {}
    hold: Hold
    one_clock: bool = False
    recovery: Recovery | None = None
    fault: FaultWindow | None = None


# -- venue.jsonl -------------------------------------------------------------------------------------------------------


class VenueLine(msgspec.Struct, frozen=True, kw_only=True):
    """What every line of the venue's journal carries; also stands for kinds that no judge needs."""

    seq: int
    t: float
    kind: str


class Open(VenueLine, frozen=True, kw_only=True):
    accounts: dict[str, dict[str, str]]


class Request(VenueLine, frozen=True, kw_only=True):
    method: str
    client_order_id: str
    account: str


class Accepted(VenueLine, frozen=True, kw_only=True):
    order_id: int
    client_order_id: str
    account: str
    qty: str


class Trade(VenueLine, frozen=True, kw_only=True):
    trade_id: int
    order_id: int
    client_order_id: str
    account: str
    symbol: str
    side: str
    price: str
    qty: str
    quote_qty: str
    fee: str
    fee_asset: str


class Ended(VenueLine, frozen=True, kw_only=True):
    """CANCELED or EXPIRED."""

    order_id: int
    client_order_id: str
    account: str


VENUE: Mapping[str, type[VenueLine]] = {
    "OPEN": Open,
    "REQUEST": Request,
    "ACCEPTED": Accepted,
    "TRADE": Trade,
    "CANCELED": Ended,
    "EXPIRED": Ended,
}


# -- ledger, PostgreSQL, residue ---------------------------------------------------------------------------------------


class LedgerLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a trader's ledger. Its hashes are judged on the raw bytes."""

    seq: int
    t: float
    kind: str
    client_order_id: str = ""
    signal: str = ""
    order_id: int | None = None


class OrderRow(msgspec.Struct, frozen=True, kw_only=True):
    client_order_id: str
    signal: str | None = None
    instance: str | None = None
    state: str
    reason: str | None = None
    created_t: float


class FillRow(msgspec.Struct, frozen=True, kw_only=True):
    trade_id: int
    client_order_id: str
    symbol: str
    side: str
    price: str
    qty: str
    quote_qty: str
    fee: str
    fee_asset: str


class PositionRow(msgspec.Struct, frozen=True, kw_only=True):
    asset: str
    opening: str
    position: str


class Balance(msgspec.Struct, frozen=True, kw_only=True):
    free: str
    locked: str


class Residue(msgspec.Struct, frozen=True, kw_only=True):
    """What a host still has of ours, and how it differs from before."""

    clean: bool
    ours: tuple[str, ...] = ()
    diff: tuple[str, ...] = ()


Balances = dict[str, dict[str, Balance]]
