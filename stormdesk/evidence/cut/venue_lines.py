"""The lines of the venue's journal, venue.jsonl, one struct for each kind; docs/formats/venue.md describes them. Pure.

Amounts stay decimal strings until a judge adds them up. Keys that are not named here are left alone.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

HOUSE = "house"
OTHERS = frozenset({HOUSE, "guest"})  # the makers, and whoever tries a bot of his own: no account of the desk


class VenueLine(msgspec.Struct, frozen=True, kw_only=True):
    """What every line of the venue's journal carries; also stands for kinds that no judge needs."""

    seq: int
    t: float
    kind: str


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """Prices of a symbol are multiples of `tick`."""

    tick: str


class Open(VenueLine, frozen=True, kw_only=True):
    """`rules` by symbol; journals of before there were none have none."""

    accounts: dict[str, dict[str, str]]
    rules: dict[str, Rules] = {}


class Request(VenueLine, frozen=True, kw_only=True):
    method: str
    client_order_id: str
    account: str
    remote: str = ""
    timestamp: int = 0  # ms, as the client signed it; 0: none

    @property
    def signed_t(self) -> float:
        """When it was sent, by the clock that the client and the venue agree on; else when it came."""
        return self.timestamp / 1000 if self.timestamp else self.t


class Accepted(VenueLine, frozen=True, kw_only=True):
    order_id: int
    client_order_id: str
    account: str
    symbol: str = ""
    side: str = ""
    type: str = ""
    price: str = "0"
    qty: str
    tif: str = ""


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
    maker: bool | None = None  # None: the journal is older than the key


class Ended(VenueLine, frozen=True, kw_only=True):
    """CANCELED or EXPIRED."""

    order_id: int
    client_order_id: str
    account: str


class Rollback(VenueLine, frozen=True, kw_only=True):
    """All trades after line `to_seq` are void: what they moved went back."""

    to_seq: int


class Transfer(VenueLine, frozen=True, kw_only=True):
    """The house gave an account so much, or took it."""

    account: str
    asset: str
    amount: str


class Throttled(VenueLine, frozen=True, kw_only=True):
    """A request was answered with 429 or 418: its sender must stay away until `until`."""

    account: str
    remote: str
    status: int
    code: int
    until: float
    used_weight: int


class Early(VenueLine, frozen=True, kw_only=True):
    """Somebody who had been told to wait came before `until`."""

    account: str
    remote: str
    until: float


class Refused(VenueLine, frozen=True, kw_only=True):
    """A connection to the WebSocket API was refused."""

    remote: str


class Mark(VenueLine, frozen=True, kw_only=True):
    """Something was done at the venue itself, not by a client."""

    what: str
    detail: dict[str, object] = {}


class VenueFault(VenueLine, frozen=True, kw_only=True):
    """A fault of the venue itself began or ended."""

    name: str
    on: bool


VENUE: Mapping[str, type[VenueLine]] = {
    "OPEN": Open,
    "REQUEST": Request,
    "ACCEPTED": Accepted,
    "TRADE": Trade,
    "CANCELED": Ended,
    "EXPIRED": Ended,
    "ROLLBACK": Rollback,
    "TRANSFER": Transfer,
    "THROTTLED": Throttled,
    "EARLY": Early,
    "REFUSED": Refused,
    "FAULT": VenueFault,
    "MARK": Mark,
}
