"""The trader's statements on a real PostgreSQL: fenced, once only, forward only."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from decimal import Decimal

import pytest

from stormdesk.testnet.trader import sql
from stormdesk.testnet.trader.signals import Intent
from stormdesk.testnet.trader.states import State
from stormdesk.testnet.trader.store import Fill, Store, StoreError
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
        assert await store.insert(intent(1, new))
        assert not await store.insert(intent(2, old))
        assert await store.query("select client_order_id from orders") == [("x-1",)]

    with_store(stack, scenario)


def test_an_id_or_a_signal_has_one_row(stack: Stack) -> None:
    async def scenario(store: Store) -> None:
        epoch = await store.grant()
        assert await store.insert(intent(1, epoch))
        for again in (intent(1, epoch, "other"), intent(2, epoch, "s1")):
            with pytest.raises(StoreError, match="duplicate key"):
                await store.insert(again)

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
