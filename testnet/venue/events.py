"""The venue journal's lines, docs/formats/venue.md. They are also the engine's events: state changes only by applying one, so
replaying the journal gives the same state. Amounts are decimal strings."""

from __future__ import annotations

from typing import Any

import msgspec


class Event(msgspec.Struct, tag_field="kind", kw_only=True):
    """The common keys; the journal sets `seq`, `t` is seconds since 1970."""

    seq: int = 0
    t: float = 0.0


class Open(Event, tag="OPEN"):
    """`rules` by symbol: `tick`, of which prices are multiples."""

    accounts: dict[str, dict[str, str]]
    config_hash: str
    rules: dict[str, dict[str, str]] = {}


class Request(Event, tag="REQUEST"):
    method: str
    client_order_id: str
    account: str
    remote: str
    timestamp: int = 0  # ms, as the client signed it; 0 when it sent none


class Accepted(Event, tag="ACCEPTED", omit_defaults=True):
    """`quote_order_qty` is the amount that a market order should spend or receive; `qty` then follows from the book."""

    order_id: int
    client_order_id: str
    account: str
    symbol: str
    side: str
    type: str
    price: str
    qty: str
    tif: str
    quote_order_qty: str = ""
    strategy_id: int | None = None
    strategy_type: int | None = None


class Rejected(Event, tag="REJECTED"):
    client_order_id: str
    account: str
    code: int
    msg: str


class Trade(Event, tag="TRADE"):
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
    maker: bool


class Canceled(Event, tag="CANCELED"):
    order_id: int
    client_order_id: str
    account: str


class Expired(Event, tag="EXPIRED"):
    order_id: int
    client_order_id: str
    account: str


class Rollback(Event, tag="ROLLBACK"):
    """All trades after line `to_seq` are void, and their effects are reversed. `trades` are their ids."""

    to_seq: int
    trades: list[int]


class Transfer(Event, tag="TRANSFER"):
    """From the house to an account; a negative amount goes to the house."""

    account: str
    asset: str
    amount: str


class Throttled(Event, tag="THROTTLED"):
    """A request was answered with 429 or 418; its sender must wait until `until`."""

    account: str
    remote: str
    status: int
    code: int
    retry_after_s: int
    until: float
    used_weight: int


class Early(Event, tag="EARLY"):
    """A request that came before the instant its sender had been told to wait for."""

    account: str
    remote: str
    until: float


class Refused(Event, tag="REFUSED"):
    """A connection to the WebSocket API was refused; whose it would have been is not known yet."""

    remote: str


class Fault(Event, tag="FAULT"):
    """A fault of the venue began or ended; `hits` counts its effects."""

    name: str
    on: bool
    params: dict[str, Any] = {}
    seed: int = 0
    hits: int = 0


class Mark(Event, tag="MARK"):
    """A change made over the control port."""

    what: str
    detail: dict[str, Any] = {}


Line = (
    Open | Request | Accepted | Rejected | Trade | Canceled | Expired
    | Rollback | Transfer | Throttled | Early | Refused | Fault | Mark
)  # fmt: skip
