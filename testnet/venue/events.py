"""The venue journal's lines, docs/formats.md section 4. They are also the engine's events: state changes only by
applying one, so reading the journal back gives the same state. Amounts are decimal strings."""

from __future__ import annotations

import msgspec


class Event(msgspec.Struct, tag_field="kind", kw_only=True):
    """What every line carries; the journal sets `seq`, `t` is seconds since 1970."""

    seq: int = 0
    t: float = 0.0


class Open(Event, tag="OPEN"):
    accounts: dict[str, dict[str, str]]
    config_hash: str


class Request(Event, tag="REQUEST"):
    method: str
    client_order_id: str
    account: str
    remote: str


class Accepted(Event, tag="ACCEPTED"):
    order_id: int
    client_order_id: str
    account: str
    symbol: str
    side: str
    type: str
    price: str
    qty: str
    tif: str


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


Line = Open | Request | Accepted | Rejected | Trade | Canceled | Expired
