"""The comparisons of a reconciliation: our books against the venue's. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal

from stormdesk.testnet.trader.ids import PREFIX


@dataclass(frozen=True)
class Item:
    """One difference. `booked`: our books include it from now on; otherwise it stays until a person accepts it. `trades` of
    `symbol` are those that were rolled back; `amount` of `asset` is the venue's balance minus ours."""

    kind: str
    what: str
    booked: bool = False
    symbol: str = ""
    trades: tuple[int, ...] = ()
    asset: str = ""
    amount: Decimal = Decimal(0)


def orders(resting: Mapping[str, str], listed: Mapping[str, str], known: Collection[str]) -> list[Item]:
    """Open orders by client order id with their symbol: `resting` here, `listed` at the venue. `known`: orders of others
    that were already reported."""
    ours = [cid for cid in listed if cid.startswith(PREFIX)]
    return [
        *(Item("order_missing", f"{cid} is open here and not at the venue") for cid in resting if cid not in listed),
        *(Item("order_unexpected", f"{cid} is open at the venue and not here") for cid in ours if cid not in resting),
        *(
            Item("external_order", f"{cid} ({symbol}) is open at the venue and not ours", booked=True)
            for cid, symbol in listed.items()
            if not cid.startswith(PREFIX) and cid not in known
        ),
    ]


def trades(symbol: str, booked: Collection[int], listed: Collection[int], *, page: int) -> list[Item]:
    """Trade ids of one symbol: `booked` here, and the venue's latest, at most `page` of them."""
    lowest = min(listed, default=0) if len(listed) >= page else 0
    gone = sorted(trade_id for trade_id in booked if trade_id >= lowest and trade_id not in listed)
    unbooked = sorted(set(listed) - set(booked))
    items = []
    if gone:
        what = f"{symbol}: the venue no longer has {len(gone)} of our trades, from {gone[0]} on"
        items.append(Item("rollback", what, symbol=symbol, trades=tuple(gone)))
    if unbooked:
        items.append(Item("trade_unbooked", f"{symbol}: {len(unbooked)} trades are not booked, from {unbooked[0]} on"))
    return items


def balances(positions: Mapping[str, Decimal], venue: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """The venue's balance minus our position, by asset, where they differ."""
    zero = Decimal(0)
    assets = sorted(positions.keys() | venue.keys())
    return {a: d for a in assets if (d := venue.get(a, zero) - positions.get(a, zero))}
