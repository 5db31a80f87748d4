"""The judges: a cut in, held, violated or unknown out. Pure; one function for each invariant.

Rules:
1. One source of every order judge is the venue's own journal: a trader is never asked about itself.
2. Unreadable source, or fewer rows than the floor: unknown, whatever else there is. Silence is never a pass.
3. Then anything wrong: violated, and `why` names the first offender by id, line or number.
4. Only then held. A journal with a gap can still show what is wrong; that nothing is wrong it cannot show.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation

from stormdesk.cut import HOUSE, Accepted, Cut, Ended, Ledger, LedgerLine, Open, Request, VenueLine, ledger_name
from stormdesk.model import CheckResult, Verdict

MIN_ORDERS = 10  # venue orders, INTENT lines
MIN_LINES = 20  # ledger lines
MIN_TRADES = 3
MIN_REFUSED = 20  # refused orders in the hold of a disk-full
BLOCK_BYTES = 4096  # what a full file system may still take at the end of a file's last block
DRAIN_S = 20.0  # how long a cut waits for orders in flight
GENESIS = "0" * 64

Judge = Callable[[Cut], CheckResult]


def _result(
    check: str,
    sources: Mapping[str, int],
    *,
    unreadable: Iterable[str] = (),
    floors: Iterable[tuple[int, int, str]] = (),
    wrong: Iterator[str],
    doubts: Iterable[str] = (),
    held: str,
) -> CheckResult:
    """Rules 2 to 4. `floors` are (seen, needed, what); of `unreadable` and `doubts` the empty ones mean nothing."""
    if problem := next(filter(None, unreadable), ""):
        return CheckResult(check, Verdict.UNKNOWN, problem, sources=sources)
    for seen, needed, what in floors:
        if seen < needed:
            return CheckResult(check, Verdict.UNKNOWN, f"{seen} {what} seen, at least {needed} needed", sources=sources)
    try:
        first, more = next(wrong, ""), sum(1 for _ in wrong)
    except InvalidOperation:
        return CheckResult(check, Verdict.UNKNOWN, "an amount is not a decimal number", sources=sources)
    if first:
        return CheckResult(check, Verdict.VIOLATED, first + (f" (and {more} more)" if more else ""), sources=sources)
    if doubt := next(filter(None, doubts), ""):
        return CheckResult(check, Verdict.UNKNOWN, doubt, sources=sources)
    return CheckResult(check, Verdict.HELD, held, sources=sources)


# -- I-01 to I-03: orders ----------------------------------------------------------------------------------------------


def i01(cut: Cut) -> CheckResult:
    """Every venue order has exactly one INTENT in the ledgers, written before the venue saw it."""
    intents = _intents(cut)
    accepted = cut.accepted()
    return _result(
        "I-01",
        {"venue orders": len(accepted), "ledger INTENTs": sum(map(len, intents.values()))},
        unreadable=_order_sources(cut),
        floors=((len(accepted), MIN_ORDERS, "venue orders"), (len(intents), MIN_ORDERS, "INTENT lines")),
        wrong=_without_intent(cut, intents),
        doubts=[_gap(cut)],
        held=f"{len(accepted)} venue orders, each with one earlier INTENT",
    )


def _without_intent(cut: Cut, intents: Mapping[str, Sequence[tuple[str, LedgerLine]]]) -> Iterator[str]:
    one_clock = cut.meta is not None and cut.meta.one_clock
    first_line = {(ledger.host, line.client_order_id): line for ledger in reversed(cut.ledgers)
                  for line in reversed(ledger.lines.rows)}  # fmt: skip
    for cid, seen in _seen_by_venue(cut).items():
        mine = intents.get(cid, ())
        if len(mine) != 1:
            yield f"{cid}: the venue saw it (journal seq {seen.seq}) and the ledgers hold {len(mine)} INTENTs"
            continue
        host, intent = mine[0]
        before = first_line[host, cid]
        if before.kind != "INTENT":
            yield f"{cid}: ledger of {host} has {before.kind} at seq {before.seq}, before INTENT at seq {intent.seq}"
        elif one_clock and intent.t > seen.t:
            yield f"{cid}: INTENT of {host} is {intent.t - seen.t:.3f} s later than the venue's journal seq {seen.seq}"


def i02(cut: Cut) -> CheckResult:
    """No client order id or venue order id is accepted twice over all time; no signal has two client order ids."""
    accepted = cut.accepted()
    signals = [(line.signal, cid) for cid, lines in _intents(cut).items() for _, line in lines]
    rows = [(row.signal or "", row.client_order_id) for row in cut.orders.rows]
    return _result(
        "I-02",
        {"venue orders": len(accepted), "ledger INTENTs": len(signals), "order rows": len(rows)},
        unreadable=[*_order_sources(cut), cut.orders.problem],
        floors=(
            (len(accepted), MIN_ORDERS, "venue orders"),
            (len(signals), MIN_ORDERS, "INTENT lines"),
            (len(rows), MIN_ORDERS, "order rows"),
        ),
        wrong=_twice(accepted, signals + rows),
        doubts=[_gap(cut)],
        held=f"{len(accepted)} client order ids accepted once each, one for each signal",
    )


def _twice(accepted: Sequence[Accepted], signals: Sequence[tuple[str, str]]) -> Iterator[str]:
    by_cid: dict[tuple[str, str], Accepted] = {}
    by_id: dict[int, Accepted] = {}
    for order in accepted:
        if first := by_cid.get((order.account, order.client_order_id)):
            yield f"{order.client_order_id}: accepted as orders {first.order_id} and {order.order_id}"
        if first := by_id.get(order.order_id):
            yield f"order {order.order_id}: accepted at journal seq {first.seq} and {order.seq}"
        by_cid[order.account, order.client_order_id] = by_id[order.order_id] = order
    ids: dict[str, str] = {}
    for signal, cid in signals:
        if signal and ids.setdefault(signal, cid) != cid:
            yield f"signal {signal}: client order ids {ids[signal]} and {cid}"


def i03(cut: Cut) -> CheckResult:
    """No order is lost: each INTENT was accepted, rejected or proven absent, and all sources say the same."""
    intents = _intents(cut)
    accepted = cut.accepted()
    meta = cut.meta
    return _result(
        "I-03",
        {"ledger INTENTs": len(intents), "venue orders": len(accepted), "order rows": len(cut.orders)},
        unreadable=[*_order_sources(cut), cut.orders.problem],
        floors=(
            (len(intents), MIN_ORDERS, "INTENT lines"),
            (len(accepted), MIN_ORDERS, "venue orders"),
            (len(cut.orders), MIN_ORDERS, "order rows"),
            (len(meta.traders) if meta else 0, 1, "traders"),
        ),
        wrong=_lost(cut, intents),
        doubts=[_gap(cut)],
        held=f"{len(intents)} INTENTs = {len(accepted)} accepted + {len(intents) - len(accepted)} not accepted",
    )


def _lost(cut: Cut, intents: Mapping[str, object]) -> Iterator[str]:
    if cut.meta is not None and cut.meta.drain_s is None:
        left = [f"{host}: {key} {n}" for host, counts in cut.meta.left.items() for key, n in counts.items() if n]
        yield f"not drained after {DRAIN_S:g} s: {', '.join(left) or 'no trader answered'}"
    venue = _venue_states(cut)
    told = _told(cut)
    rows = {row.client_order_id: row.state for row in cut.orders.rows}
    for cid in intents:
        said = told.get(cid, "no answer")
        if said in ("no answer", "UNKNOWN"):
            yield f"{cid}: the ledger ends with {said}; the venue has {venue.get(cid, 'no such order')}"
        elif (said == "accepted") != (cid in venue):
            yield f"{cid}: the ledger says {said}, the venue's journal {venue.get(cid, 'has no such order')}"
    for cid, state in venue.items():
        if cid not in rows:
            yield f"{cid}: {state} at the venue, no row in PostgreSQL"
        elif rows[cid] != state:
            yield f"{cid}: {state} at the venue, {rows[cid]} in PostgreSQL"
    for cid, state in rows.items():
        if cid not in venue and state not in ("REJECTED", "EXPIRED"):
            yield f"{cid}: {state} in PostgreSQL, unknown to the venue"


def _told(cut: Cut) -> dict[str, str]:
    """What the ledgers last said of each client order id: accepted, not accepted, or UNKNOWN."""
    told: dict[str, str] = {}
    for ledger in cut.ledgers:
        for line in ledger.lines.rows:
            match line.kind:
                case "ACK":
                    told[line.client_order_id] = "accepted"
                case "REJECT":
                    told[line.client_order_id] = "not accepted"
                case "RESOLVED":
                    told[line.client_order_id] = "not accepted" if line.order_id is None else "accepted"
                case "UNKNOWN":
                    told[line.client_order_id] = "UNKNOWN"
    return told


def _venue_states(cut: Cut) -> dict[str, str]:
    """The state of each desk order that follows from the venue's journal."""
    done: dict[int, Decimal] = defaultdict(Decimal)
    for trade in cut.trades():
        done[trade.order_id] += Decimal(trade.qty)
    ended = {line.order_id: line.kind for line in cut.venue.rows if isinstance(line, Ended)}
    states = {}
    for order in cut.accepted():
        filled = done[order.order_id]
        working = "PARTIALLY_FILLED" if filled else "NEW"
        states[order.client_order_id] = "FILLED" if filled >= Decimal(order.qty) else ended.get(order.order_id, working)
    return states


# -- I-04: positions ---------------------------------------------------------------------------------------------------


def i04(cut: Cut) -> CheckResult:
    """position = opening + fills - fees = the venue's balance, exactly; and the same trades on both sides."""
    trades = cut.trades()
    return _result(
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
        doubts=[_gap(cut)],
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
    """The desk's balances in the journal's first OPEN line."""
    opening: dict[str, Decimal] = defaultdict(Decimal)
    first = next(line for line in cut.venue.rows if isinstance(line, Open))
    for account in first.accounts.keys() - {HOUSE}:
        for asset, amount in first.accounts[account].items():
            opening[asset] += Decimal(amount)
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


# -- I-05: the ledger --------------------------------------------------------------------------------------------------


def i05(cut: Cut) -> CheckResult:
    """Each ledger line is whole JSON, seq has no gap, and the hash chain holds from the first line to the last."""
    lines = sum(ledger.raw.count(b"\n") for ledger in cut.ledgers)
    return _result(
        "I-05",
        {"ledgers": len(cut.ledgers), "ledger lines": lines},
        unreadable=_missing_ledgers(cut),
        floors=((len(cut.ledgers), 1, "ledgers"), (lines, MIN_LINES, "ledger lines")),
        wrong=(wrong for ledger in cut.ledgers for wrong in _broken_lines(ledger)),
        held=f"{lines} lines, chain and seq unbroken",
    )


def _broken_lines(ledger: Ledger) -> Iterator[str]:
    previous, seq = GENESIS, 0
    *whole, tail = ledger.raw.split(b"\n")
    for number, raw in enumerate(whole, 1):
        if not raw.strip():
            continue
        seq += 1
        try:
            line = json.loads(raw)
            claimed, prev, number_in_line = line.pop("h"), line["prev"], line["seq"]
        except (ValueError, KeyError, TypeError, AttributeError):
            yield f"{ledger.host}: line {number} is not a ledger line: {raw[:40].decode(errors='replace')!r}"
            continue
        if number_in_line != seq:
            yield f"{ledger.host}: line {number} has seq {number_in_line}, expected {seq}"
        if prev != previous:
            yield f"{ledger.host}: line {number} (seq {number_in_line}) does not link to the line before"
        if claimed != _hash(line, prev):
            yield f"{ledger.host}: line {number} (seq {number_in_line}) was altered: its hash does not match"
        previous, seq = claimed, number_in_line if isinstance(number_in_line, int) else seq
    if tail:
        yield f"{ledger.host}: the file ends in a torn line of {len(tail)} bytes"


def _hash(line: Mapping[str, object], prev: object) -> str:
    """Written anew from docs/formats.md: what wrote the ledger must not be what judges it."""
    body = json.dumps(line, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(f"{prev}{body}".encode()).hexdigest()


# -- I-09, I-13 and the refusals ---------------------------------------------------------------------------------------


def i09(cut: Cut) -> CheckResult:
    """The stack was steady again within its budget."""
    recovery = cut.meta.recovery if cut.meta else None
    took = recovery.recovered_at - recovery.start if recovery and recovery.recovered_at is not None else None
    return _result(
        "I-09",
        {"recoveries timed": int(recovery is not None)},
        unreadable=[cut.meta_problem, "" if recovery else "no recovery was timed"],
        wrong=_late(cut, took),
        held=f"recovered in {took:.1f} s, budget {recovery.rto_s:g} s" if recovery and took is not None else "",
    )


def _late(cut: Cut, took: float | None) -> Iterator[str]:
    assert cut.meta is not None
    assert cut.meta.recovery is not None
    budget = cut.meta.recovery.rto_s
    if took is None:
        yield f"not recovered when the watch ended; budget {budget:g} s"
    elif took > budget:
        yield f"recovered in {took:.1f} s, {took - budget:.1f} s over the budget of {budget:g} s"
    elif took < 0:
        yield f"recovered {-took:.1f} s before the clock started"


def i13(cut: Cut) -> CheckResult:
    """No host has anything of ours left, and each is as it was before."""
    hosts = cut.meta.hosts if cut.meta else ()
    asked = [host for host in hosts if host in cut.residue]
    silent = [host for host in hosts if host not in cut.residue]
    return _result(
        "I-13",
        {"hosts asked": len(asked)},
        unreadable=[cut.meta_problem, cut.residue_problem],
        floors=((len(cut.residue), 1, "hosts"),),
        wrong=_left_over(cut),
        doubts=[f"{silent[0]} was not asked" if silent else ""],
        held=f"{len(cut.residue)} hosts asked, nothing of ours left",
    )


def _left_over(cut: Cut) -> Iterator[str]:
    for host, residue in sorted(cut.residue.items()):
        yield from (f"{host}: {found}" for found in residue.ours)
        yield from (f"{host}: {line}" for line in residue.diff)
        if not (residue.clean or residue.ours or residue.diff):
            yield f"{host}: reported dirty"


def refusals(cut: Cut) -> CheckResult:
    """While the disk was full: orders were refused here, and no refused order ever reached the venue."""
    fault = cut.meta.fault if cut.meta else None
    refused = _refused(cut)
    requests = sum(isinstance(line, Request) for line in cut.venue.rows)
    return _result(
        "refusals",
        {"refused orders": len(refused), "venue requests": requests},
        unreadable=[
            *_order_sources(cut),
            "" if fault else "no fault was in",
            cut.orders.problem,
        ],
        floors=((len(refused), MIN_REFUSED, "refused orders"), (requests, MIN_ORDERS, "venue requests")),
        wrong=_sent_while_full(cut, refused),
        doubts=[_gap(cut)],
        held=f"{len(refused)} orders refused with the disk named, 0 venue calls for them",
    )


def refused_ids(cut: Cut) -> frozenset[str]:
    """The client order ids that the faulted trader refused because its disk was full."""
    return frozenset(_refused(cut))


def calls_for_refused(cut: Cut) -> int:
    """How often the venue was called for an order that was refused."""
    refused = _refused(cut)
    return sum(isinstance(line, Request) and line.client_order_id in refused for line in cut.venue.rows)


def _refused(cut: Cut) -> dict[str, float]:
    """Client order ids refused for a full disk while the fault was in, with the instant."""
    fault = cut.meta.fault if cut.meta else None
    if fault is None:
        return {}
    return {
        row.client_order_id: row.created_t
        for row in cut.orders.rows
        if row.state == "REJECTED" and (row.reason or "").startswith("disk full")
        and row.instance == fault.host and fault.injected_t <= row.created_t <= fault.lift_t
    }  # fmt: skip


def _sent_while_full(cut: Cut, refused: Mapping[str, float]) -> Iterator[str]:
    assert cut.meta is not None
    assert cut.meta.fault is not None
    for line in cut.venue.rows:
        if isinstance(line, Request) and line.client_order_id in refused:
            yield f"{line.client_order_id}: refused here, yet the venue was called (journal seq {line.seq})"
    for ledger in cut.ledgers:
        if ledger.host == cut.meta.fault.host:
            yield from _too_much_written(ledger, min(refused.values()), cut.meta.fault.lift_t)


def _too_much_written(ledger: Ledger, first_t: float, lift_t: float) -> Iterator[str]:
    """A full ext4 still takes small appends in a file's last block: INTENTs that fit there were really written, and
    their orders are legal. More than a block of them means that the disk was not full, or that nothing was written."""
    written = 0
    for line, raw in zip(ledger.lines.rows, (r for r in ledger.raw.split(b"\n") if r.strip()), strict=False):
        if line.kind == "INTENT" and first_t < line.t < lift_t:
            written += len(raw) + 1
            if written > BLOCK_BYTES:
                yield f"{line.client_order_id}: sent after the first refusal with no room left (ledger seq {line.seq})"


# -- what they share ---------------------------------------------------------------------------------------------------


def _intents(cut: Cut) -> dict[str, list[tuple[str, LedgerLine]]]:
    """INTENT lines by client order id, with the host whose ledger has them."""
    found: dict[str, list[tuple[str, LedgerLine]]] = defaultdict(list)
    for ledger in cut.ledgers:
        for line in ledger.lines.rows:
            if line.kind == "INTENT":
                found[line.client_order_id].append((ledger.host, line))
    return dict(found)


def _seen_by_venue(cut: Cut) -> dict[str, VenueLine]:
    """The first journal line about each order of the desk: its request, else its acceptance."""
    seen: dict[str, VenueLine] = {}
    for line in cut.venue.rows:
        if not isinstance(line, Accepted | Request) or (isinstance(line, Request) and line.method != "POST"):
            continue
        if line.account not in ("", HOUSE):  # "" is a key that the venue does not know
            seen.setdefault(line.client_order_id, line)
    return seen


def _order_sources(cut: Cut) -> list[str]:
    return [cut.venue.problem, *_missing_ledgers(cut), *(ledger.lines.problem for ledger in cut.ledgers)]


def _missing_ledgers(cut: Cut) -> list[str]:
    """Every trader has a ledger, an empty one if it never led."""
    there = {ledger.host for ledger in cut.ledgers}
    traders = cut.meta.traders if cut.meta else ()
    return [cut.meta_problem, *(f"{ledger_name(host)} is missing" for host in traders if host not in there)]


def _gap(cut: Cut) -> str:
    """Where the venue's journal has a hole, or ""."""
    for expected, line in enumerate(cut.venue.rows, 1):
        if line.seq != expected:
            return f"the venue's journal has a gap: seq {line.seq} where {expected} was due"
    return ""


JUDGES: Mapping[str, Judge] = {
    "I-01": i01,
    "I-02": i02,
    "I-03": i03,
    "I-04": i04,
    "I-05": i05,
    "I-09": i09,
    "I-13": i13,
    "refusals": refusals,
}


def applicable(cut: Cut) -> list[str]:
    """The judges that a cut calls for: recovery only after a fault, refusals only after a full disk on a trader."""
    meta = cut.meta
    fault = meta.fault if meta else None
    skipped = set()
    if meta is not None and fault is None and meta.recovery is None:
        skipped.add("I-09")
    if fault is None or fault.name != "disk-full" or not fault.refusals or (meta and fault.host not in meta.traders):
        skipped.add("refusals")
    return [name for name in JUDGES if name not in skipped]
