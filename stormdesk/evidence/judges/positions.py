"""I-04 and I-14: positions agree to the last digit, and the sum of the venue's balances is unchanged. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from decimal import Decimal

from stormdesk.core.model import CheckResult
from stormdesk.evidence.cut import Cut
from stormdesk.evidence.cut.venue_lines import OTHERS, Open, Trade, Transfer
from stormdesk.evidence.judges.judging import gap, result

MIN_TRADES = 3


def i04(cut: Cut) -> CheckResult:
    """position = opening + fills - fees = the venue's balance, exactly; and the same trades on both sides."""
    trades = cut.trades()
    return result(
        "I-04",
        {"venue trades": len(trades), "fill rows": len(cut.fills), "positions": len(cut.positions)},
        unreadable=[cut.venue.problem, cut.fills.problem, cut.positions.problem, cut.balances_problem],
        floors=(
            (len(cut.desk), 1, "accounts in the venue's OPEN line"),
            (len(trades), MIN_TRADES, "venue trades"),
            (len(cut.fills), MIN_TRADES, "fill rows"),
            (len(cut.positions), 2, "positions"),
            (sum(name in cut.balances for name in cut.desk), len(cut.desk), "balances of the desk"),
        ),
        wrong=_unbooked(cut),
        doubts=[gap(cut)],
        held=f"{len(cut.positions)} positions equal to the last digit, {len(trades)} trades on both sides",
    )


def _unbooked(cut: Cut) -> Iterator[str]:
    fills = {fill.trade_id: fill for fill in cut.fills.rows}
    trades = {trade.trade_id: trade for trade in cut.trades()}
    for trade_id in sorted(trades.keys() | fills.keys()):
        if trade_id not in fills or trade_id not in trades:
            where = "PostgreSQL" if trade_id in fills else "the venue's journal"
            yield f"trade {trade_id}: only in {where}"
            continue
        fill, trade = fills[trade_id], trades[trade_id]
        for key in ("client_order_id", "symbol", "side", "fee_asset"):
            if getattr(fill, key) != getattr(trade, key):
                yield f"trade {trade_id}: {key} {getattr(fill, key)} in PostgreSQL, {getattr(trade, key)} at the venue"
        for key in ("qty", "price", "quote_qty", "fee"):
            if Decimal(getattr(fill, key)) != Decimal(getattr(trade, key)):
                yield f"trade {trade_id}: {key} {getattr(fill, key)} in PostgreSQL, {getattr(trade, key)} at the venue"
    yield from _positions_off(cut)


def _positions_off(cut: Cut) -> Iterator[str]:
    balances: dict[str, Decimal] = defaultdict(Decimal)
    for account in cut.desk:
        for asset, held in cut.balances[account].items():
            balances[asset] += Decimal(held.free) + Decimal(held.locked)
    positions = {row.asset: row for row in cut.positions.rows}
    moved = _movements(cut, [*balances, *positions])
    opening = _opening(cut)
    for asset in sorted(balances.keys() | positions.keys()):
        balance = balances[asset]
        if asset not in positions:
            if balance:
                yield f"{asset}: the venue has {balance}, PostgreSQL no position"
            continue
        position, booked = Decimal(positions[asset].position), Decimal(positions[asset].opening) + moved["fills"][asset]
        if position != booked:
            yield f"{asset}: position {position}, but opening + fills - fees is {booked}"
        if position != balance:
            yield f"{asset}: position {position}, the venue's balance {balance} (off by {position - balance})"
        if (traded := opening[asset] + moved["trades"][asset]) != balance:
            yield f"{asset}: the venue's trades add up to {traded}, its balance is {balance}"


def _opening(cut: Cut) -> dict[str, Decimal]:
    """The desk's balances in the journal's first OPEN line, with what the house gave it since."""
    opening: dict[str, Decimal] = defaultdict(Decimal)
    first = next(line for line in cut.venue.rows if isinstance(line, Open))
    for account in first.accounts.keys() - OTHERS:
        for asset, amount in first.accounts[account].items():
            opening[asset] += Decimal(amount)
    for line in cut.venue.rows:
        if isinstance(line, Transfer) and line.account not in OTHERS:
            opening[line.asset] += Decimal(line.amount)
    return opening


def _movements(cut: Cut, assets: Iterable[str]) -> dict[str, dict[str, Decimal]]:
    """What the fills of PostgreSQL, and the trades of the journal, each add to every asset."""
    known = set(assets)
    moved: dict[str, dict[str, Decimal]] = {"fills": defaultdict(Decimal), "trades": defaultdict(Decimal)}
    for source, lines in (("fills", cut.fills.rows), ("trades", cut.trades())):
        for line in lines:
            base = next((a for a in known if line.symbol.startswith(a) and line.symbol[len(a) :] in known), line.symbol)
            sign = 1 if line.side == "BUY" else -1
            moved[source][base] += sign * Decimal(line.qty)
            moved[source][line.symbol[len(base) :]] -= sign * Decimal(line.quote_qty)
            moved[source][line.fee_asset] -= Decimal(line.fee)
    return moved


# -- I-14: the venue's own sum -----------------------------------------------------------------------------------------


def i14(cut: Cut) -> CheckResult:
    """What all accounts of the venue hold together is what they opened with: nothing is made, nothing is lost."""
    trades = sum(isinstance(line, Trade) for line in cut.venue.rows)
    opened = _opened(cut)
    return result(
        "I-14",
        {"accounts": len(cut.balances), "venue trades": trades},
        unreadable=[cut.venue.problem, cut.balances_problem],
        floors=(
            (len(opened), 2, "accounts in the venue's OPEN line"),
            (sum(name in cut.balances for name in opened), len(opened), "balances of these accounts"),
            (trades, 2 * MIN_TRADES, "sides of trades"),
        ),
        wrong=_made_or_lost(cut),
        doubts=[gap(cut)],
        held=f"{len(cut.balances)} accounts hold together what they opened with, after {trades // 2} trades",
    )


def _made_or_lost(cut: Cut) -> Iterator[str]:
    opened: dict[str, Decimal] = defaultdict(Decimal)
    for assets in _opened(cut).values():
        for asset, amount in assets.items():
            opened[asset] += Decimal(amount)
    held: dict[str, Decimal] = defaultdict(Decimal)
    for account, balances in sorted(cut.balances.items()):
        for asset, balance in balances.items():
            held[asset] += Decimal(balance.free) + Decimal(balance.locked)
            if Decimal(balance.locked) < 0:
                yield f"{account}: {balance.locked} {asset} locked"
    for asset in sorted(opened.keys() | held.keys()):
        if opened[asset] != held[asset]:
            yield f"{asset}: all accounts hold {held[asset]}, they opened with {opened[asset]} (off by {held[asset] - opened[asset]})"


def _opened(cut: Cut) -> dict[str, dict[str, str]]:
    """What each account had when the journal first knew it: an account that is new later adds to the sum."""
    opened: dict[str, dict[str, str]] = {}
    for line in cut.venue.rows:
        if isinstance(line, Open):
            opened = line.accounts | opened
    return opened
