"""I-18: one fact changed about how an order went is violated; what others cause is not the desk's."""

from __future__ import annotations

import json
from typing import Any

import pytest

from stormdesk.core.model import Verdict
from tests.unit.histories import (
    LEDGER,
    Change,
    Files,
    damage,
    document,
    grown,
    judge,
    of_kind,
    put_aside,
    rows,
    write_journal,
    write_ledger,
)  # fmt: skip

Line = dict[str, Any]


@pytest.fixture
def history() -> Files:
    return grown()


def canceled(files: Files) -> tuple[list[Line], list[Line], str]:
    """The journal, the ledger, and an order that was canceled and never traded."""
    journal, ledger = rows(files, "venue.jsonl"), rows(files, LEDGER)
    traded = {line["client_order_id"] for line in of_kind(journal, "TRADE")}
    name = next(line["client_order_id"] for line in of_kind(journal, "CANCELED") if line["client_order_id"] not in traded)
    return journal, ledger, name


def filled(files: Files) -> tuple[list[Line], Line]:
    """The ledger, and its line of a trade."""
    ledger = rows(files, LEDGER)
    return ledger, of_kind(ledger, "FILL")[0]


def canceled_by_nobody(files: Files) -> str:
    journal, _, name = canceled(files)
    write_journal(files, [line for line in journal if line.get("method") != "DELETE" or line["client_order_id"] != name])
    return f"{name}: canceled at the venue, and nobody had asked for it"


def asked_afterwards(files: Files) -> str:
    journal, _, name = canceled(files)
    (request,) = of_kind(journal, "REQUEST", method="DELETE", client_order_id=name)
    request["t"] = journal[-1]["t"] + 1
    write_journal(files, journal)
    return f"{name}: canceled at the venue, and nobody had asked for it"


def canceled_without_a_line(files: Files) -> str:
    _, ledger, name = canceled(files)
    write_ledger(files, [line for line in ledger if line["kind"] != "CANCEL" or line["client_order_id"] != name])
    return f"{name}: canceled, and no ledger has a CANCEL of it"


def written_after_the_cancel(files: Files) -> str:
    journal, ledger, name = canceled(files)
    (line,) = of_kind(ledger, "CANCEL", client_order_id=name)
    line["t"] = of_kind(journal, "CANCELED", client_order_id=name)[0]["t"] + 2
    write_ledger(files, ledger)
    return f"{name}: its CANCEL was written 2.0 s after it was canceled"


def another_orders_cancel(files: Files) -> str:
    _, ledger, name = canceled(files)
    (line,) = of_kind(ledger, "CANCEL", client_order_id=name)
    line["order_id"] += 1
    write_ledger(files, ledger)
    return f"{name}: its CANCEL is of order {line['order_id']}"


def canceled_and_still_open(files: Files) -> str:
    journal, ledger, name = canceled(files)
    write_journal(files, [line for line in journal if line["kind"] != "CANCELED" or line["client_order_id"] != name])
    write_ledger(files, [line for line in ledger if line["kind"] != "DONE" or line["client_order_id"] != name])
    written = of_kind(ledger, "CANCEL", client_order_id=name)[0]["t"]
    document(files, "meta.json", lambda meta: meta["hold"].update(started=written + 25))
    return f"{name}: its CANCEL was written 25 s before the end, and it is still open"


def done_in_another_state(files: Files) -> str:
    _, ledger, name = canceled(files)
    (line,) = of_kind(ledger, "DONE", client_order_id=name)
    line["state"] = "FILLED"
    write_ledger(files, ledger)
    return f"{name} is DONE, FILLED; at the venue it is CANCELED"


def done_and_still_open(files: Files) -> str:
    journal, _, name = canceled(files)
    write_journal(files, [line for line in journal if line["kind"] != "CANCELED" or line["client_order_id"] != name])
    return f"{name} is DONE, CANCELED; at the venue it is open"


def never_done(files: Files) -> str:
    _, ledger, name = canceled(files)
    write_ledger(files, [line for line in ledger if line["kind"] != "DONE" or line["client_order_id"] != name])
    return f"{name}: CANCELED at the venue, and no ledger has its DONE"


def trade_that_no_ledger_has(files: Files) -> str:
    ledger, line = filled(files)
    write_ledger(files, [each for each in ledger if each is not line])
    return f"trade {line['trade_id']} of {line['client_order_id']}: no ledger has its FILL"


def booked_twice(files: Files) -> str:
    ledger, line = filled(files)
    write_ledger(files, [*ledger, line])
    return f"trade {line['trade_id']} of {line['client_order_id']} is booked twice"


def booked_at_another_price(files: Files) -> str:
    ledger, line = filled(files)
    line["price"] = f"{float(line['price']) + 0.01:.8f}"
    write_ledger(files, ledger)
    return f"price {line['price']} of trade {line['trade_id']}"


def booked_another_quantity(files: Files) -> str:
    ledger, line = filled(files)
    line["qty"] = f"{float(line['qty']) / 2:.8f}"
    write_ledger(files, ledger)
    return f"qty {line['qty']} of trade {line['trade_id']}"


def booked_another_fee(files: Files) -> str:
    ledger, line = filled(files)
    line["fee"] = "0"
    write_ledger(files, ledger)
    return f"fee 0 of trade {line['trade_id']}"


def booked_a_trade_that_nobody_made(files: Files) -> str:
    ledger, line = filled(files)
    write_ledger(files, [*ledger, {**line, "trade_id": 999_999}])
    return f"FILL of trade 999999, which {line['client_order_id']} has not"


def booked_for_another_order(files: Files) -> str:
    ledger, line = filled(files)
    others = (order["client_order_id"] for order in of_kind(ledger, "INTENT"))
    line["client_order_id"] = next(name for name in others if name != line["client_order_id"])
    write_ledger(files, ledger)
    return f"FILL of trade {line['trade_id']}, which {line['client_order_id']} has not"


CHANGES: list[Change] = [
    canceled_by_nobody, asked_afterwards, canceled_without_a_line, written_after_the_cancel, another_orders_cancel,
    canceled_and_still_open, done_in_another_state, done_and_still_open, never_done, trade_that_no_ledger_has, booked_twice,
    booked_at_another_price, booked_another_quantity, booked_another_fee, booked_a_trade_that_nobody_made, booked_for_another_order,
]  # fmt: skip


def whole(files: Files) -> str:
    """All that is wrong: `why` has only the first."""
    verdict, why = judge("I-18", files)
    assert verdict is Verdict.VIOLATED
    return why


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_one_fact_changed_is_violated(history: Files, change: Change) -> None:
    named = change(history)
    assert named in whole(history)


def test_a_cancel_of_just_now_may_still_be_on_its_way(history: Files) -> None:
    canceled_and_still_open(history)
    _, ledger, name = canceled(grown())
    written = of_kind(ledger, "CANCEL", client_order_id=name)[0]["t"]
    document(history, "meta.json", lambda meta: meta["hold"].update(started=written + 15))
    assert judge("I-18", history)[0] is Verdict.HELD


def test_a_venue_that_takes_trades_back_cancels_by_itself(history: Files) -> None:
    journal, ledger, name = canceled(history)
    journal = [line for line in journal if line.get("method") != "DELETE" or line["client_order_id"] != name]
    gone = of_kind(journal, "CANCELED", client_order_id=name)[0]
    at = journal.index(gone)
    back = {"kind": "ROLLBACK", "t": gone["t"], "to_seq": at, "trades": []}
    write_journal(history, [*journal[: at + 1], back, *journal[at + 1 :]])
    write_ledger(history, [line for line in ledger if line["kind"] != "CANCEL" or line["client_order_id"] != name])
    assert judge("I-18", history)[0] is Verdict.HELD


def killed_by_the_guard(files: Files, after_s: float) -> None:
    """A request for all orders, of which no ledger knows; a kill switch was last written `after_s` before."""
    journal, ledger, name = canceled(files)
    (request,) = of_kind(journal, "REQUEST", method="DELETE", client_order_id=name)
    request["client_order_id"] = ""
    write_journal(files, journal)
    write_ledger(files, [line for line in ledger if line["kind"] != "CANCEL" or line["client_order_id"] != name])
    said = {"content": json.dumps({"active": False}), "mtime": request["t"] - after_s}
    files["state-files.json"] = json.dumps({"trader-a": {"execution/kill_switch_state.json": said}, "trader-b": {}}).encode()


def test_the_guard_of_a_dead_trader_cancels_without_a_ledger(history: Files) -> None:
    killed_by_the_guard(history, 5)
    assert judge("I-18", history)[0] is Verdict.HELD


def test_without_a_kill_nobody_cancels_all_without_a_ledger(history: Files) -> None:
    killed_by_the_guard(history, 300)
    assert "canceled, and no ledger has a CANCEL of it" in whole(history)


def test_a_line_that_was_put_aside_may_be_the_one_that_is_missing(history: Files) -> None:
    _, ledger, name = canceled(history)
    number = ledger.index(of_kind(ledger, "DONE", client_order_id=name)[0])
    put_aside(history, *damage(history, number))
    assert judge("I-18", history)[0] is Verdict.HELD
    journal = rows(history, "venue.jsonl")
    write_journal(history, [line for line in journal if line.get("method") != "DELETE" or line["client_order_id"] != name])
    assert judge("I-18", history)[0] is Verdict.VIOLATED


def test_a_trade_of_an_order_by_hand_may_be_booked(history: Files) -> None:
    ledger, line = filled(history)
    journal = rows(history, "venue.jsonl")
    mine = of_kind(journal, "TRADE", trade_id=line["trade_id"], account="desk")[0]
    by_hand = {"kind": "MARK", "t": mine["t"], "what": "external-order", "detail": {"client_order_id": "web_1", "account": "desk"}}
    trade = {**mine, "client_order_id": "web_1", "trade_id": 999_999, "order_id": 5}
    write_journal(history, [*journal, by_hand, trade])
    write_ledger(history, [*ledger, {**line, "trade_id": 999_999, "client_order_id": "web_1"}])
    assert judge("I-18", history)[0] is Verdict.HELD


@pytest.mark.parametrize("source", ["venue.jsonl", LEDGER])
@pytest.mark.parametrize("content", [b"", b"{}\n", None], ids=["empty", "no keys", "missing"])
def test_an_emptied_source_is_unknown(history: Files, source: str, content: bytes | None) -> None:
    del history[source]
    if content is not None:
        history[source] = content
    assert judge("I-18", history)[0] is Verdict.UNKNOWN
