"""I-21: an order that no signal asked for, or that is not what one asked for, is violated."""

from __future__ import annotations

from typing import Any

import pytest

from stormdesk.core.model import Verdict
from stormdesk.evidence import cut as cuts
from stormdesk.evidence.judges import applicable
from tests.unit.histories import (
    LEDGER,
    Change,
    Files,
    damage,
    grown,
    judge,
    of_kind,
    put_aside,
    recorded,
    rows,
    write_journal,
    write_ledger,
)  # fmt: skip

Line = dict[str, Any]


@pytest.fixture
def history() -> Files:
    return grown()


def first(files: Files) -> tuple[list[Line], Line, Line]:
    """The ledger, a signal that came, and the INTENT for it."""
    ledger = rows(files, LEDGER)
    signal = of_kind(ledger, "SIGNAL")[0]
    return ledger, signal, of_kind(ledger, "INTENT", signal=f"ext:{signal['signal']}")[0]


def never_came(files: Files) -> str:
    ledger, signal, intent = first(files)
    write_ledger(files, [line for line in ledger if line is not signal])
    return f"{intent['client_order_id']}: trader-a was never sent a signal {signal['signal']}"


def came_afterwards(files: Files) -> str:
    ledger, signal, _ = first(files)
    write_ledger(files, [*(line for line in ledger if line is not signal), signal])
    return f"was never sent a signal {signal['signal']}"


def has_another_id(files: Files) -> str:
    ledger, signal, intent = first(files)
    intent["signal"] += "#2"
    write_ledger(files, ledger)
    return f"was never sent a signal {signal['signal']}#2"


@pytest.mark.parametrize(
    ("key", "value"), [("symbol", "DOGEUSDT"), ("side", "HOLD"), ("type", "OTHER"), ("qty", "0.123"), ("price", "1.5")]
)
def test_an_order_that_is_not_what_was_asked_for_is_violated(history: Files, key: str, value: str) -> None:
    ledger, signal, intent = first(history)
    if key == "price":
        signal["type"] = intent["type"] = "LIMIT"
    signal[key] = value
    write_ledger(history, ledger)
    verdict, why = judge("I-21", history)
    assert verdict is Verdict.VIOLATED
    assert f"is not what signal {signal['signal']} asked for" in why


def two_orders_for_one(files: Files) -> str:
    ledger, signal, intent = first(files)
    other = {**intent, "client_order_id": intent["client_order_id"].replace("-3-", "-4-")}
    write_ledger(files, [*ledger, other])
    lines = rows(files, "venue.jsonl")
    order = of_kind(lines, "ACCEPTED", client_order_id=intent["client_order_id"])[0]
    write_journal(files, [*lines, {**order, "client_order_id": other["client_order_id"], "order_id": 7}])
    return f"signal {signal['signal']}: 2 orders"


CHANGES: list[Change] = [never_came, came_afterwards, has_another_id, two_orders_for_one]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_one_fact_changed_is_violated(history: Files, change: Change) -> None:
    named = change(history)
    verdict, why = judge("I-21", history)
    assert verdict is Verdict.VIOLATED
    assert named in why


def test_a_signal_that_comes_twice_may_have_one_order(history: Files) -> None:
    ledger, signal, _ = first(history)
    write_ledger(history, [*ledger, signal])
    assert judge("I-21", history)[0] is Verdict.HELD


def test_amounts_are_compared_as_numbers(history: Files) -> None:
    ledger, signal, _ = first(history)
    signal["qty"] = f"0{signal['qty']}"
    write_ledger(history, ledger)
    assert judge("I-21", history)[0] is Verdict.HELD


def test_a_line_that_was_put_aside_may_be_the_signal(history: Files) -> None:
    ledger, signal, _ = first(history)
    put_aside(history, *damage(history, ledger.index(signal)))
    assert judge("I-21", history)[0] is Verdict.HELD


def test_without_signals_from_outside_it_is_left_out() -> None:
    assert "I-21" not in applicable(cuts.parse(recorded()))
    assert judge("I-21", recorded()) == (Verdict.UNKNOWN, "0 signals from outside seen, at least 1 needed")


@pytest.mark.parametrize("source", ["venue.jsonl", LEDGER])
@pytest.mark.parametrize("content", [b"", b"{}\n", None], ids=["empty", "no keys", "missing"])
def test_an_emptied_source_is_unknown(history: Files, source: str, content: bytes | None) -> None:
    del history[source]
    if content is not None:
        history[source] = content
    assert judge("I-21", history)[0] is not Verdict.HELD
