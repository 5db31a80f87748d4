"""The lines of the ledger, one struct for each kind; docs/formats/schemas/ledger.json is generated from them.

The trader passes the values to `Ledger.append` and `Ledger.note` by name; amounts are decimal strings.
"""

from __future__ import annotations

import msgspec


class Line(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    """The keys of every line. `t` is seconds since 1970; `prev` and `h` are the hash chain (ledger/chain.py)."""

    v: int
    seq: int
    t: float
    client_order_id: str
    prev: str
    h: str


class Intent(Line, frozen=True, kw_only=True, tag="INTENT"):
    """On the disk before the order is sent."""

    signal: str
    symbol: str
    side: str
    type: str
    price: str
    qty: str
    epoch: int


class Ack(Line, frozen=True, kw_only=True, tag="ACK"):
    """The venue accepted the order."""

    order_id: int


class Reject(Line, frozen=True, kw_only=True, tag="REJECT"):
    """The venue refused the order, or it is proven that it never accepted it."""

    reason: str


class Unknown(Line, frozen=True, kw_only=True, tag="UNKNOWN"):
    """No answer, or one that does not tell whether the order was accepted."""

    reason: str


class Resolved(Line, frozen=True, kw_only=True, tag="RESOLVED"):
    """A query found an UNKNOWN order, or proved that there is none (`order_id` null)."""

    state: str
    order_id: int | None


class Cancel(Line, frozen=True, kw_only=True, tag="CANCEL"):
    """A cancel was sent."""

    order_id: int | None


class Fill(Line, frozen=True, kw_only=True, tag="FILL"):
    """A trade was booked."""

    trade_id: int
    qty: str
    price: str
    fee: str
    fee_asset: str


class Done(Line, frozen=True, kw_only=True, tag="DONE"):
    """The order has reached a final state."""

    state: str


class Signal(Line, frozen=True, kw_only=True, tag="SIGNAL"):
    """A signal arrived from outside: all of it as its caller sent it, before anything was decided."""

    signal: str
    symbol: str
    side: str
    type: str
    price: str
    qty: str


class Skip(Line, frozen=True, kw_only=True, tag="SKIP"):
    """A signal was refused before any INTENT; the venue was not called."""

    signal: str
    reason: str


class Mend(Line, frozen=True, kw_only=True, tag="MEND"):
    """A person accepted the venue's view: of trades (`voided`), or of a balance (`asset` and `amount`)."""

    what: str
    by: str
    voided: list[int] | msgspec.UnsetType = msgspec.UNSET
    asset: str | msgspec.UnsetType = msgspec.UNSET
    amount: str | msgspec.UnsetType = msgspec.UNSET


class Gate(Line, frozen=True, kw_only=True, tag="GATE"):
    """A gate was closed (`on`) or opened."""

    gate: str
    on: bool
    reason: str = ""


Entry = Intent | Ack | Reject | Unknown | Resolved | Cancel | Fill | Done | Signal | Skip | Mend | Gate
