"""I-20: one fact changed about an order's trades is violated, and what an order allows is not."""

from __future__ import annotations

from typing import Any

import pytest

from stormdesk.core.model import Verdict
from tests.unit.histories import Change, Files, grown, judge, of_kind, rows, write_journal

Line = dict[str, Any]


@pytest.fixture
def history() -> Files:
    return grown()


def limit(files: Files, side: str = "BUY") -> tuple[list[Line], Line, list[Line]]:
    """The journal, a limit order of the desk that was filled by one trade, and both lines of that trade."""
    lines = rows(files, "venue.jsonl")
    for order in of_kind(lines, "ACCEPTED", type="LIMIT", side=side):
        mine = of_kind(lines, "TRADE", order_id=order["order_id"])
        if len(mine) == 1 and float(mine[0]["qty"]) == float(order["qty"]):
            return lines, order, of_kind(lines, "TRADE", trade_id=mine[0]["trade_id"])
    raise AssertionError("no such order in the history")


def market(files: Files) -> tuple[list[Line], Line, list[Line]]:
    """The same of a market order."""
    lines = rows(files, "venue.jsonl")
    order = of_kind(lines, "ACCEPTED", type="MARKET")[0]
    (mine,) = of_kind(lines, "TRADE", order_id=order["order_id"])
    return lines, order, of_kind(lines, "TRADE", trade_id=mine["trade_id"])


def ended(order: Line, kind: str = "EXPIRED") -> Line:
    return {"kind": kind, "t": order["t"], **{key: order[key] for key in ("order_id", "client_order_id", "account")}}


def bought_above_the_limit(files: Files) -> str:
    lines, order, (_, trade) = limit(files)
    order["price"] = f"{float(trade['price']) - 0.01:.2f}"
    write_journal(files, lines)
    return f"trade {trade['trade_id']}: BUY at {trade['price']}, worse than {order['price']}, the limit of {order['client_order_id']}"


def sold_below_the_limit(files: Files) -> str:
    lines, order, (trade, _) = limit(files, "SELL")
    order["price"] = f"{float(trade['price']) + 0.01:.2f}"
    write_journal(files, lines)
    return f"SELL at {trade['price']}, worse than {order['price']}"


def traded_more_than_was_ordered(files: Files) -> str:
    lines, order, _ = limit(files)
    traded, order["qty"] = float(order["qty"]), f"{float(order['qty']) - 0.00001:.5f}"
    write_journal(files, lines)
    return f"{order['client_order_id']} of {order['qty']} has traded {traded:.8f} with it"


def traded_after_its_end(files: Files) -> str:
    lines, order, (trade, _) = limit(files)
    lines.insert(lines.index(order) + 1, ended(order, "CANCELED"))
    write_journal(files, lines)
    return f"trade {trade['trade_id']}: {order['client_order_id']} had ended before"


def ended_twice(files: Files) -> str:
    lines = rows(files, "venue.jsonl")
    gone = of_kind(lines, "CANCELED")[0]
    lines.insert(lines.index(gone) + 1, dict(gone))
    write_journal(files, lines)
    return f"{gone['client_order_id']}: ended twice"


def traded_without_an_order(files: Files) -> str:
    lines, order, (trade, _) = limit(files)
    lines.remove(order)
    write_journal(files, lines)
    return f"trade {trade['trade_id']}: its order {order['order_id']}"


def another_symbol(files: Files) -> str:
    lines, order, both = limit(files)
    for trade in both:
        trade["symbol"] = "ETHUSDT" if order["symbol"] == "BTCUSDT" else "BTCUSDT"
    write_journal(files, lines)
    return f"but its order {order['client_order_id']} is not"


def half_of_a_market_order_rests(files: Files) -> str:
    lines, order, _ = market(files)
    order["qty"] = f"{float(order['qty']) * 2:.8f}"
    write_journal(files, lines)
    return f"{order['client_order_id']}: MARKET, but"


def immediate_or_rests(files: Files) -> str:
    lines = rows(files, "venue.jsonl")
    order = next(o for o in of_kind(lines, "ACCEPTED", type="LIMIT") if not of_kind(lines, "TRADE", order_id=o["order_id"]))
    order["tif"] = "IOC"
    write_journal(files, lines)
    return f"{order['client_order_id']}: IOC, but 0 of {order['qty']} was traded and the rest was not ended"


def a_part_of_all_or_nothing(files: Files) -> str:
    lines, order, both = limit(files)
    order |= {"tif": "FOK", "qty": f"{float(order['qty']) * 2:.8f}"}
    lines.insert(lines.index(both[1]) + 1, ended(order))
    write_journal(files, lines)
    return f"{order['client_order_id']}: all or nothing"


def a_maker_took(files: Files) -> str:
    lines, order, both = limit(files)
    order["type"] = "LIMIT_MAKER"
    for trade, maker in zip(both, (trade["account"] != "desk" for trade in both), strict=True):
        trade["maker"] = maker
    write_journal(files, lines)
    return f"{order['client_order_id']} may only rest in the book, and took"


def a_price_off_the_grid(files: Files) -> str:
    lines, _, both = market(files)
    lines[0]["rules"] = {both[0]["symbol"]: {"tick": "0.01"}}
    for trade in both:
        trade["price"] = f"{float(trade['price']) + 0.005:.8f}"
        trade["quote_qty"] = f"{float(trade['price']) * float(trade['qty']):.12f}"
    write_journal(files, lines)
    return f"trade {both[0]['trade_id']}: price {both[0]['price']} is no multiple of 0.01"


def a_limit_off_the_grid(files: Files) -> str:
    lines, order, _ = limit(files)
    lines[0]["rules"] = {order["symbol"]: {"tick": "0.01"}}
    order["price"] = f"{float(order['price']) + 0.001:.8f}"
    write_journal(files, lines)
    return f"{order['client_order_id']}: limit {order['price']} is no multiple of 0.01"


def one_side_is_told_another_price(files: Files) -> str:
    lines, _, (house, mine) = market(files)
    house["price"] = f"{float(mine['price']) + 1:.8f}"
    write_journal(files, lines)
    return f"trade {mine['trade_id']}: price {house['price']} for one side, {mine['price']} for the other"


def both_sides_bought(files: Files) -> str:
    lines, _, (house, mine) = market(files)
    house["side"] = mine["side"]
    write_journal(files, lines)
    return f"trade {mine['trade_id']}: both sides {mine['side']}"


def both_sides_took(files: Files) -> str:
    lines, _, both = market(files)
    both[0]["maker"] = both[1]["maker"]
    write_journal(files, lines)
    return f"trade {both[0]['trade_id']}: both sides are the "


def nobody_on_the_other_side(files: Files) -> str:
    lines, _, (house, mine) = market(files)
    lines.remove(house)
    write_journal(files, lines)
    return f"trade {mine['trade_id']}: only {mine['side']} is in the journal"


def paid_another_amount(files: Files) -> str:
    lines, _, both = market(files)
    for trade in both:
        trade["quote_qty"] = f"{float(trade['quote_qty']) + 0.01:.8f}"
    write_journal(files, lines)
    return f"is not {both[0]['quote_qty']}"


def accepted_again(files: Files) -> str:
    lines, order, _ = limit(files)
    lines.append({**order, "client_order_id": "another"})
    write_journal(files, lines)
    return f"another: order {order['order_id']} was accepted before"


CHANGES: list[Change] = [
    bought_above_the_limit, sold_below_the_limit, traded_more_than_was_ordered, traded_after_its_end, ended_twice,
    traded_without_an_order, another_symbol, half_of_a_market_order_rests, immediate_or_rests, a_part_of_all_or_nothing,
    a_maker_took, a_price_off_the_grid, a_limit_off_the_grid, one_side_is_told_another_price, both_sides_bought, both_sides_took,
    nobody_on_the_other_side, paid_another_amount, accepted_again,
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_one_fact_changed_is_violated(history: Files, change: Change) -> None:
    named = change(history)
    verdict, why = judge("I-20", history)
    assert verdict is Verdict.VIOLATED
    assert named in why


def test_a_better_price_than_the_limit_is_no_offence(history: Files) -> None:
    lines, order, (_, trade) = limit(history)
    order["price"] = f"{float(trade['price']) + 5:.8f}"
    lines[0]["rules"] = {name: {"tick": "0.01"} for name in ("BTCUSDT", "ETHUSDT")}
    write_journal(history, lines)
    assert judge("I-20", history)[0] is Verdict.HELD


@pytest.mark.parametrize("tif", ["IOC", "FOK"])
def test_an_order_that_is_done_at_once_is_no_offence(history: Files, tif: str) -> None:
    """All of it at once, or nothing and an end."""
    lines, order, _ = limit(history)
    order["tif"] = tif
    idle = next(o for o in of_kind(lines, "ACCEPTED", type="LIMIT") if not of_kind(lines, "TRADE", order_id=o["order_id"]))
    idle["tif"] = tif
    lines = [line for line in lines if line["kind"] not in ("CANCELED", "EXPIRED") or line["order_id"] != idle["order_id"]]
    lines.insert(lines.index(idle) + 1, ended(idle))
    write_journal(history, lines)
    assert judge("I-20", history)[0] is Verdict.HELD


def test_a_journal_of_before_there_were_makers_and_rules_is_still_judged(history: Files) -> None:
    lines = [{key: value for key, value in line.items() if key not in ("maker", "rules")} for line in rows(history, "venue.jsonl")]
    write_journal(history, lines)
    assert judge("I-20", history)[0] is Verdict.HELD


@pytest.mark.parametrize("content", [b"", b"{}\n", None], ids=["empty", "no keys", "missing"])
def test_an_emptied_source_is_unknown(history: Files, content: bytes | None) -> None:
    del history["venue.jsonl"]
    if content is not None:
        history["venue.jsonl"] = content
    assert judge("I-20", history)[0] is Verdict.UNKNOWN
