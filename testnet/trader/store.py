"""The trader's database: one connection, short deadlines, and a queue for writes that nobody waits for. The queue keeps its order
and never loses a statement while the process lives."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import psycopg

from stormdesk.testnet.trader import sql
from stormdesk.testnet.trader.states import State
from stormdesk.testnet.trader.strategy import Intent
from stormdesk.testnet.watch import Watch

log = logging.getLogger(__name__)

ANSWER_S = 2.0
RETRY_S = 0.5
Rows = list[tuple[Any, ...]]


class StoreError(Exception):
    """PostgreSQL did not confirm the statement; the message says why."""


@dataclass(frozen=True)
class Fill:
    """One of our trades, a row of `fills`. `t` is seconds since 1970."""

    trade_id: int
    client_order_id: str
    symbol: str
    side: str
    price: Decimal
    qty: Decimal
    quote_qty: Decimal
    fee: Decimal
    fee_asset: str
    t: float

    def moves(self, base: str, quote: str) -> tuple[str, Decimal, str, Decimal, str, Decimal]:
        """Its effect on positions: three assets with their changes."""
        sign = 1 if self.side == "BUY" else -1
        return base, sign * self.qty, quote, -sign * self.quote_qty, self.fee_asset, -self.fee


@dataclass(frozen=True)
class Row:
    """An order in the database, with its booked quantity."""

    intent: Intent
    state: State
    order_id: int | None
    booked: Decimal
    trades: frozenset[int]


@dataclass(frozen=True)
class Write:
    """A queued statement and the callback for its rows."""

    statement: str
    values: tuple[object, ...]
    then: Callable[[Rows], None] | None


class Store:
    """The database of one trader. Methods that wait raise StoreError."""

    def __init__(self, dsn: str, instance: str) -> None:
        self.watch = Watch()
        self._dsn = dsn
        self._instance = instance
        self._connection: psycopg.AsyncConnection[Any] | None = None
        self._turn = asyncio.Lock()
        self._writes: deque[Write] = deque()
        self._queued = asyncio.Event()

    @property
    def pending(self) -> int:
        """The number of queued statements."""
        return len(self._writes)

    async def query(self, statement: str, values: Sequence[object] = ()) -> Rows:
        """Run one statement. If it fails or times out, it may have been executed nevertheless."""
        async with self._turn:
            started = time.monotonic()
            task = asyncio.ensure_future(self._run(statement, values))
            try:
                await asyncio.wait({task}, timeout=ANSWER_S)
            finally:
                if not task.done():
                    self._sever()
            try:
                rows = await task
            except (psycopg.Error, OSError) as error:
                self._fail(error, time.monotonic() - started >= ANSWER_S)
            self.watch.good(time.monotonic() - started)
            return rows

    def later(self, statement: str, *values: object, then: Callable[[Rows], None] | None = None) -> None:
        """Queue a statement; it must be safe to run it twice."""
        self._writes.append(Write(statement, values, then))
        self._queued.set()

    async def work(self) -> None:
        """Run queued statements in order until cancelled. A failed one is retried until it works."""
        while True:
            await self._queued.wait()
            self._queued.clear()
            while self._writes:
                write = self._writes[0]
                try:
                    rows = await self.query(write.statement, write.values)
                except StoreError as error:
                    log.warning("database: %s; %d statements wait", error, len(self._writes))
                    await asyncio.sleep(RETRY_S)
                    continue
                self._writes.popleft()
                if write.then is not None:
                    write.then(rows)

    async def settled(self) -> None:
        """Wait until the queue is empty. Raises StoreError when the database does not answer."""
        while self._writes:
            await self.query("select 1")
            await asyncio.sleep(RETRY_S / 10)

    async def prepare(self) -> None:
        """Create missing tables."""
        await self.query(sql.SCHEMA)

    async def grant(self) -> int:
        """A new epoch for this instance, higher than all others."""
        return int((await self.query(sql.GRANT, (self._instance,)))[0][0])

    async def superseded(self, epoch: int) -> bool:
        """Whether a newer epoch was granted."""
        return bool((await self.query(sql.NEWEST))[0][0] > epoch)

    async def insert(self, intent: Intent) -> bool:
        """Write the row of an order before it is sent; False when there is a newer epoch."""
        values = (*_columns(intent, self._instance), intent.epoch)
        return bool(await self.query(sql.INSERT, values))

    def record(self, intent: Intent, state: State, reason: str) -> None:
        """Queue the row of an order that is not sent, or that only the ledger has."""
        self.later(sql.RECORD, *_columns(intent, self._instance), state.value, reason)

    def state(self, cid: str, state: State, order_id: int | None = None, reason: str | None = None) -> None:
        """Queue a change of state; terminal states stay."""
        self.later(sql.STATE, state.value, reason, order_id, cid)

    async def unfinished(self) -> list[Row]:
        """Orders that have not ended, oldest first, of all instances."""
        return [_row(values) for values in await self.query(sql.UNFINISHED)]

    async def named(self, cids: Sequence[str]) -> dict[str, Row]:
        """The existing orders among these ids."""
        rows = [_row(values) for values in await self.query(sql.NAMED, (list(cids),))]
        return {row.intent.client_order_id: row for row in rows}

    async def close(self) -> None:
        if self._connection is not None:
            await self._connection.close()

    async def _run(self, statement: str, values: Sequence[object]) -> Rows:
        if self._connection is None or self._connection.closed:
            self._connection = await psycopg.AsyncConnection.connect(
                self._dsn,
                autocommit=True,
                connect_timeout=int(ANSWER_S),
                tcp_user_timeout=int(ANSWER_S * 1000),
                options="-c synchronous_commit=on",  # regardless of the server's default: what it acknowledges is in its WAL
            )
        cursor = await self._connection.execute(statement, values or None)
        return await cursor.fetchall() if cursor.description else []

    def _sever(self) -> None:
        """End a hanging connection. Shutting down the socket wakes its waiters at once; a cancel request would need the network
        that does not answer."""
        if self._connection is not None and not self._connection.closed:
            with socket.socket(fileno=os.dup(self._connection.fileno())) as twin:
                twin.shutdown(socket.SHUT_RDWR)

    def _fail(self, error: Exception, late: bool) -> None:
        if self._connection is not None and not isinstance(error, psycopg.IntegrityError):
            self._connection.pgconn.finish()
        word = "CONN_TIMEOUT" if late or isinstance(error, psycopg.errors.ConnectionTimeout) else "CONN_ERROR"
        text = f"{word}: {' '.join(str(error).split()) or type(error).__name__}"
        self.watch.bad(text)
        raise StoreError(text) from error


def _columns(intent: Intent, instance: str) -> tuple[object, ...]:
    return (
        intent.client_order_id, intent.signal, instance, intent.epoch, intent.symbol, intent.side, intent.type,
        intent.price, intent.qty,
    )  # fmt: skip


def _row(values: tuple[Any, ...]) -> Row:
    *intent, state, order_id, booked, trades = values
    return Row(Intent(*intent), State(state), order_id, booked, frozenset(trades))
