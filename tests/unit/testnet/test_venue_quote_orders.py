"""Market orders by quote: their quantities and costs, and their form in answers, streams and the journal."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp.test_utils import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st

from stormdesk.testnet.venue import events
from stormdesk.testnet.venue.errors import ApiError
from stormdesk.testnet.venue.exchange import Exchange
from stormdesk.testnet.venue.order_entry import Desk
from stormdesk.testnet.venue.record import NewOrder
from tests.unit.testnet.test_venue_exchange import BTC, exchange, totals, traded
from tests.unit.testnet.test_venue_parameters import ask, desk, run
from tests.unit.testnet.test_venue_rest import call

Client = TestClient[Any, Any]
QUOTE = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quoteOrderQty": "600"}


def by_quote(side: str, quote: str, cid: str = "q") -> NewOrder:
    return NewOrder(cid, BTC, side, "MARKET", Decimal(0), quote_qty=Decimal(quote))


def stocked() -> Exchange:
    """0.01 BTC at each of three prices on both sides."""
    it = exchange()
    for n in range(3):
        it.quote("BTCUSDT", "SELL", Decimal(60000 + n), Decimal("0.01"), 1.0)
        it.quote("BTCUSDT", "BUY", Decimal(59999 - n), Decimal("0.01"), 1.0)
    return it


def submit(it: Exchange, new: NewOrder, account: str = "desk") -> Any:
    return it.submit(account, it.sized(account, new), 2.0)


@pytest.mark.parametrize(("side", "quote", "executed", "cost", "status"), [
    ("BUY", "600", "0.01", "600", "FILLED"),  # one level to the last digit
    ("BUY", "599.99", "0.00999", "599.4", "FILLED"),  # whole lots: what is too little for one more stays
    ("BUY", "900", "0.01499", "899.40499", "FILLED"),  # two levels
    ("BUY", "5", "0.00008", "4.8", "FILLED"),  # the smallest
    ("BUY", "1800.03", "0.03", "1800.03", "FILLED"),  # the whole book
    ("BUY", "6000", "0.03", "1800.03", "EXPIRED"),  # more than there is
    ("SELL", "599.99", "0.01", "599.99", "FILLED"),
    ("SELL", "900", "0.015", "899.98", "FILLED"),
    ("SELL", "5", "0.00008", "4.79992", "FILLED"),
    ("SELL", "6000", "0.03", "1799.94", "EXPIRED"),
])  # fmt: skip
def test_case_C60_a_quote_order_fills_by_quote(side: str, quote: str, executed: str, cost: str, status: str) -> None:
    it = stocked()
    before = totals(it)
    got = submit(it, by_quote(side, quote))
    assert (got.executed, got.quote_executed, got.status) == (Decimal(executed), Decimal(cost), status)
    assert (got.quote_order_qty, got.qty % BTC.step) == (Decimal(quote), 0)
    assert (got.qty == got.executed) is (status == "FILLED")
    assert totals(it) == before
    assert not it.open_orders("desk")


@pytest.mark.parametrize(("side", "quote", "code", "msg"), [
    ("BUY", "4.99", -1013, "Filter failure: NOTIONAL"),
    ("BUY", "2000000", -2010, "Account has insufficient balance for requested action."),
    ("SELL", "1000000", -2010, "Account has insufficient balance for requested action."),
    ("BUY", "600000000", -1013, "Filter failure: LOT_SIZE"),
])  # fmt: skip
def test_case_C60_a_quote_order_that_is_refused_changes_nothing(side: str, quote: str, code: int, msg: str) -> None:
    it = stocked()
    it.take()
    with pytest.raises(ApiError) as error:
        submit(it, by_quote(side, quote))
    assert (error.value.code, error.value.msg) == (code, msg)
    assert it.take() == []


@pytest.mark.parametrize("side", ["BUY", "SELL"])
def test_case_C60_a_quote_order_needs_a_book(side: str) -> None:
    it = exchange()
    with pytest.raises(ApiError, match="-2010 Order book liquidity is less than symbol minimum quantity"):
        submit(it, by_quote(side, "600"))


def test_case_C60_a_quote_order_does_not_count_its_own_account() -> None:
    it = stocked()
    mine = it.submit("desk", NewOrder("mine", BTC, "SELL", "LIMIT", Decimal("0.01"), Decimal("59999.5")), 1.0)
    got = submit(it, by_quote("BUY", "600"))
    assert (mine.status, got.status, got.quote_executed) == ("EXPIRED", "FILLED", Decimal(600))
    assert traded(it, "desk") == [("60000.00000000", "0.01000000")]


@settings(max_examples=60, deadline=None)
@given(
    side=st.sampled_from(["BUY", "SELL"]), cents=st.integers(500, 400_000),
    levels=st.lists(st.tuples(st.integers(1, 5000), st.integers(1, 4000)), min_size=1, max_size=8),
)  # fmt: skip
def test_case_C60_a_quote_order_never_trades_for_more_and_leaves_less_than_a_lot(
    side: str, cents: int, levels: list[tuple[int, int]]
) -> None:
    it, quote = exchange(), Decimal(cents) / 100
    way = 1 if side == "BUY" else -1
    for away, lots in levels:
        price = Decimal(60000) + way * Decimal(away) / 100
        it.quote("BTCUSDT", "SELL" if side == "BUY" else "BUY", price, Decimal(lots) / 100_000, 1.0)
    got = submit(it, by_quote(side, str(quote)))
    assert got.quote_executed <= quote
    if got.status == "FILLED" and (last := it.trades["desk", "BTCUSDT"]):
        best = it.books["BTCUSDT"].best("SELL" if side == "BUY" else "BUY")
        price = best[0] if best else Decimal(last[-1].price)
        assert quote - got.quote_executed < max(price, Decimal(last[-1].price)) * BTC.step


def test_case_C60_a_quote_order_over_rest_streams_and_the_journal(tmp_path: Path) -> None:
    async def scenario(client: Client, it: Desk) -> None:
        socket = await client.ws_connect("/ws-api/v3")
        assert (await ask(socket, "userDataStream.subscribe.signature", {}))[0] == 200
        params = {**QUOTE, "newClientOrderId": "q1", "strategyId": "7", "strategyType": "1000001"}
        status, placed = await call(client, "POST", "order", params)
        assert (status, placed["status"], placed["origQuoteOrderQty"]) == (200, "FILLED", "600.00000000")
        assert (placed["strategyId"], placed["strategyType"]) == (7, 1000001)
        assert placed["price"] == "0.00000000"
        assert placed["origQty"] == placed["executedQty"]
        worth = sum(Decimal(fill["price"]) * Decimal(fill["qty"]) for fill in placed["fills"])
        assert Decimal(placed["cummulativeQuoteQty"]) == worth
        assert Decimal(599) < worth <= 600
        told = [(await socket.receive_json(timeout=5))["event"] for _ in range(2 * len(placed["fills"]) + 2)]
        reports = [event for event in told if event["e"] == "executionReport"]
        assert {(event["Q"], event["j"], event["J"]) for event in reports} == {("600.00000000", 7, 1000001)}
        assert reports[-1]["X"] == "FILLED"
        where = {"symbol": "BTCUSDT", "origClientOrderId": "q1"}
        assert (await call(client, "GET", "order", where))[1]["origQuoteOrderQty"] == "600.00000000"
        status, sold = await ask(socket, "order.place", {**QUOTE, "side": "SELL", "quoteOrderQty": 500})
        assert (status, sold["status"]) == (200, "FILLED")
        assert Decimal(499) < Decimal(sold["cummulativeQuoteQty"]) <= 500
        await socket.close()

    run(tmp_path, scenario)
    again = desk(tmp_path)
    kept = again.exchange.find("desk", "BTCUSDT", None, "q1")
    assert kept is not None
    assert (kept.quote_order_qty, kept.strategy_id, kept.status) == (Decimal(600), 7, "FILLED")
    lines = b"".join(again.journal.since(0)).splitlines()
    accepted = [msgspec.json.decode(line) for line in lines if b'"ACCEPTED"' in line]
    assert accepted[0]["quote_order_qty"] == "600.00000000"
    again.journal.close()
    assert isinstance(msgspec.json.decode(lines[-1], type=events.Line), events.Open)


def test_case_C60_other_orders_stand_in_the_journal_as_before() -> None:
    it = stocked()
    it.submit("desk", NewOrder("plain", BTC, "BUY", "LIMIT", Decimal("0.01"), Decimal(60000)), 2.0)
    line = next(h.event for h in it.take() if isinstance(h.event, events.Accepted))
    assert set(msgspec.json.decode(msgspec.json.encode(line))) == {
        "kind", "t", "order_id", "client_order_id", "account", "symbol", "side", "type", "price", "qty", "tif",
    }  # fmt: skip
