"""The trader's statements on a real PostgreSQL: fenced, once only, forward only."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterator
from decimal import Decimal
from typing import cast

import psycopg
import pytest

from stormdesk.testnet.ledger import Ledger
from stormdesk.testnet.resilience import load
from stormdesk.testnet.trader import recovery, sql, trace
from stormdesk.testnet.trader.metrics import Metrics
from stormdesk.testnet.trader.open_orders import Desk, Live
from stormdesk.testnet.trader.snapshot import Move
from stormdesk.testnet.trader.states import State
from stormdesk.testnet.trader.store import Fill, Store, StoreError
from stormdesk.testnet.trader.strategy import Instrument, Intent
from stormdesk.testnet.trader.venue import Venue
from tests.e2e.stack_harness import Stack, home_for_nobody


@pytest.fixture
def stack() -> Iterator[Stack]:
    with home_for_nobody() as home:
        stack = Stack(home)
        stack.postgres()
        yield stack
        stack.down()


def intent(number: int, epoch: int, signal: str = "") -> Intent:
    qty = Decimal("0.30000000")
    return Intent(f"x-{number}", signal or f"s{number}", "BTCUSDT", "BUY", "LIMIT", Decimal("60000.01"), qty, epoch)


def fill(trade_id: int, qty: str, side: str = "BUY") -> Fill:
    amount = Decimal(qty)
    fee = ("0.0001", "BTC") if side == "BUY" else ("6", "USDT")
    return Fill(trade_id, "x-1", "BTCUSDT", side, Decimal(60000), amount, amount * 60000, Decimal(fee[0]), fee[1], 1.5)


def with_store(stack: Stack, scenario: Callable[[Store], Awaitable[None]]) -> None:
    async def run() -> None:
        store = Store(stack.dsn(), "trader-a")
        await store.prepare()
        await store.prepare()  # the tables are there: nothing happens
        worker = asyncio.create_task(store.work())
        async with asyncio.timeout(20):
            await scenario(store)
        worker.cancel()
        await store.close()

    asyncio.run(run())


async def state_of(store: Store) -> tuple[str, int | None]:
    await store.settled()
    row = (await store.query("select state, order_id from orders where client_order_id = 'x-1'"))[0]
    return row[0], row[1]


def test_only_the_newest_epoch_writes_rows(stack: Stack) -> None:
    async def scenario(store: Store) -> None:
        old, new = await store.grant(), await store.grant()
        assert new > old
        assert [await store.superseded(epoch) for epoch in (old, new)] == [True, False]
        assert await store.insert(intent(1, new))
        assert not await store.insert(intent(2, old))
        assert await store.query("select client_order_id from orders") == [("x-1",)]

    with_store(stack, scenario)


def test_an_id_or_a_signal_has_one_row(stack: Stack) -> None:
    async def scenario(store: Store) -> None:
        epoch = await store.grant()
        assert await store.insert(intent(1, epoch))
        with pytest.raises(StoreError, match="duplicate key"):
            await store.insert(intent(1, epoch, "other"))
        assert not await store.insert(intent(2, epoch, "s1"))
        store.record(intent(2, epoch, "s1"), State.REJECTED, "another order of this signal")
        await store.settled()
        assert await store.query("select client_order_id, state from orders") == [("x-1", "PENDING_NEW")]

    with_store(stack, scenario)


def test_states_go_forward_only(stack: Stack) -> None:
    async def scenario(store: Store) -> None:
        await store.insert(intent(1, await store.grant()))
        for told, then in (
            (State.NEW, "NEW"),
            (State.UNKNOWN, "NEW"),
            (State.PARTIALLY_FILLED, "PARTIALLY_FILLED"),
            (State.NEW, "PARTIALLY_FILLED"),
            (State.CANCELED, "CANCELED"),
            (State.FILLED, "CANCELED"),
        ):
            store.state("x-1", told, 77)
            assert await state_of(store) == (then, 77)
        store.record(intent(1, 1), State.REJECTED, "late")
        assert await state_of(store) == ("CANCELED", 77)

    with_store(stack, scenario)


def test_a_trade_is_booked_once_with_its_positions_and_the_orders_state(stack: Stack) -> None:
    async def scenario(store: Store) -> None:
        await store.insert(intent(1, await store.grant()))
        await store.query(sql.OPENING, ("USDT", Decimal(100000), Decimal(100000)))
        told: list[int] = []
        for trade, then in (
            (fill(1, "0.1"), "PARTIALLY_FILLED"),
            (fill(1, "0.1"), "PARTIALLY_FILLED"),
            (fill(2, "0.2"), "FILLED"),
        ):
            values = (
                trade.trade_id, trade.client_order_id, trade.symbol, trade.side, trade.price, trade.qty,
                trade.quote_qty, trade.fee, trade.fee_asset, trade.t,
            )  # fmt: skip
            store.later(sql.BOOK, *values, *trade.moves("BTC", "USDT"), then=lambda rows: told.append(len(rows)))
            assert (await state_of(store))[0] == then
        assert told == [2, 0, 2]
        positions = await store.query("select asset, opening, position from positions order by asset")
        assert positions == [("BTC", 0, Decimal("0.2998")), ("USDT", 100000, Decimal(82000))]

    with_store(stack, scenario)


def test_scenario_S2_04_a_trade_that_memory_forgot_is_booked_once(stack: Stack) -> None:
    """The trade ids in memory were pushed out; PostgreSQL still knows each."""

    async def scenario(store: Store) -> None:
        ledger = Ledger(stack.home / "ledger.jsonl", time.time, load().ledger.restore_s)
        moved: list[Move] = []
        desk = Desk(ledger, store, cast("Venue", None), Metrics(), load().order, moved.append)
        desk.instruments = {"BTCUSDT": Instrument("BTCUSDT", "BTC", "USDT", Decimal("0.01"), Decimal("0.00001"))}
        order = intent(1, await store.grant())
        await store.insert(order)
        desk.put(live := Live(order))
        desk.observe(live, "NEW", 7, Decimal(0))
        for trade_id in (1, 1, 2, 1, 2, 1):
            desk.trade(fill(trade_id, "0.1"))
            await store.settled()
            desk.seen.clear()
        assert (live.booked, live.state) == (Decimal("0.2"), State.NEW)
        assert desk.positions == {"BTC": Decimal("0.1998"), "USDT": Decimal(-12000)}
        assert await store.query("select count(*), sum(qty) from fills") == [(2, Decimal("0.2"))]
        await ledger.flush()
        ledger.close()
        lines = [json.loads(line) for line in (stack.home / "ledger.jsonl").read_bytes().splitlines()]
        assert [line["trade_id"] for line in lines if line["kind"] == "FILL"] == [1, 2]

    with_store(stack, scenario)


def test_an_answer_that_only_the_ledger_has_is_not_doubted_after_a_restart(stack: Stack) -> None:
    """The trader died between the ACK in its ledger and the row's change. An UNKNOWN behind it would never be resolved there."""

    async def scenario(store: Store) -> None:
        ledger = Ledger(stack.home / "ledger.jsonl", time.time, load().ledger.restore_s)
        order = intent(1, await store.grant())
        terms = {"symbol": order.symbol, "side": order.side, "type": order.type, "price": f"{order.price:f}"}
        await ledger.append("INTENT", "x-1", signal=order.signal, **terms, qty=f"{order.qty:f}", epoch=order.epoch)
        await store.insert(order)
        await ledger.append("ACK", "x-1", order_id=7)
        desk = Desk(ledger, store, cast("Venue", None), Metrics(), load().order, lambda _: None)
        (row,) = await store.unfinished()
        assert row.state is State.PENDING_NEW
        recovery._adopt(desk, ledger, store, row, (await ledger.fold(trace.fold)).unfinished["x-1"])
        assert desk.live["x-1"].check
        desk.observe(desk.live["x-1"], "EXPIRED", 7, Decimal(0))
        assert await state_of(store) == ("EXPIRED", 7)
        await ledger.flush()
        ledger.close()
        lines = [json.loads(line)["kind"] for line in (stack.home / "ledger.jsonl").read_bytes().splitlines()]
        assert lines == ["INTENT", "ACK", "DONE"]

    with_store(stack, scenario)


def test_scenario_E_14_voided_trades_leave_the_books_and_money_from_outside_joins_the_opening(stack: Stack) -> None:
    async def scenario(store: Store) -> None:
        await store.insert(intent(1, await store.grant()))
        for asset in ("BTC", "USDT"):
            await store.query(sql.OPENING, (asset, Decimal(100), Decimal(100)))
        before = await store.query("select * from positions order by asset")
        for trade in (fill(1, "0.1"), fill(2, "0.1", "SELL"), fill(3, "0.2")):
            values = (
                trade.trade_id, trade.client_order_id, trade.symbol, trade.side, trade.price, trade.qty,
                trade.quote_qty, trade.fee, trade.fee_asset, trade.t,
            )  # fmt: skip
            await store.query(sql.BOOK, (*values, *trade.moves("BTC", "USDT")))
        await store.query(sql.UNBOOK, ("BTCUSDT", [1, 2, 3, 99], "BTC", "USDT"))
        assert await store.query("select * from positions order by asset") == before
        assert not await store.query("select 1 from fills")
        await store.query(sql.UNBOOK, ("BTCUSDT", [1], "BTC", "USDT"))
        await store.query(sql.ADJUST, ("BTC", Decimal(-1), Decimal(-1)))
        await store.query(sql.ADJUST, ("DOGE", Decimal(5), Decimal(5)))
        assert await store.query("select * from positions order by asset") == [
            ("BTC", 99, 99), ("DOGE", 5, 5), ("USDT", 100, 100),
        ]  # fmt: skip

    with_store(stack, scenario)


def test_what_is_queued_survives_a_lost_server(stack: Stack) -> None:
    async def scenario(store: Store) -> None:
        await store.insert(intent(1, await store.grant()))
        stack.kill("postgres")
        store.state("x-1", State.NEW, 5)
        store.state("x-1", State.CANCELED, 5)
        with pytest.raises(StoreError):
            await store.query("select 1")
        assert store.pending == 2
        assert not store.watch.ok
        stack.postgres()
        while store.pending:
            await asyncio.sleep(0.05)
        assert await state_of(store) == ("CANCELED", 5)

    with_store(stack, scenario)


@pytest.mark.parametrize("ours", [True, False], ids=["our connection", "the server's default"])
def test_scenario_E_21_an_acknowledged_commit_survives_kill_9(stack: Stack, ours: bool) -> None:
    """The server's default is to acknowledge before the log is written, which loses commits: our connection insists."""
    for setting in ("synchronous_commit = off", "wal_writer_delay = 10000"):
        stack.sql(f"alter system set {setting}")
    stack.kill("postgres")
    stack.postgres()
    acknowledged: list[str] = []

    async def by_us(store: Store) -> None:
        epoch = await store.grant()
        for number in range(100):
            assert await store.insert(intent(number, epoch))
            acknowledged.append(f"x-{number}")
        stack.kill("postgres")

    if ours:
        with_store(stack, by_us)
    else:
        with_store(stack, Store.grant)
        connection = psycopg.connect(stack.dsn(), autocommit=True)
        for number in range(100):
            connection.execute("insert into orders (client_order_id) values (%s)", (f"x-{number}",))
            acknowledged.append(f"x-{number}")
        stack.kill("postgres")
        connection.close()
    stack.postgres()
    kept = {cid for (cid,) in stack.sql("select client_order_id from orders")}
    assert (set(acknowledged) <= kept) is ours
