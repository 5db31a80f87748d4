"""ccxt's streams: market data, the order book level by level, and the user stream."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import ccxt
import ccxt.pro
from ccxt_rest import CONFIG, SYMBOL
from told import WS, control, fault, run


async def with_exchange(what: Callable[[Any], Awaitable[None]]) -> None:
    """A fresh exchange for one check: ccxt's connections belong to one event loop."""
    ws = {"ws": {"spot": f"{WS}/ws", "ws-api": {"spot": f"{WS}/ws-api/v3"}}}
    exchange = ccxt.pro.binance({**CONFIG, "urls": {"api": {**CONFIG["urls"]["api"], **ws}}})
    try:
        await exchange.load_markets()
        await what(exchange)
    finally:
        await exchange.close()


def same_book(book: Any) -> bool:
    """Whether a local book is the venue's own as of that update, level by level. False when that one is too old."""
    venue = control(f"depth?symbol=BTCUSDT&at={book['nonce']}")
    for side in ("bids", "asks"):
        theirs = [[float(Decimal(price)), float(Decimal(qty))] for price, qty in venue[side]]
        mine = [[price, qty] for price, qty in book[side]]
        assert mine == theirs[: len(mine)], (side, mine[:3], theirs[:3])
        assert len(mine) >= 10
    return True


async def check_the_book_equals_the_venues() -> None:
    async def what(exchange: Any) -> None:
        for _ in range(20):
            book = await exchange.watch_order_book(SYMBOL)
            assert same_book(book)

    await with_exchange(what)


async def check_the_book_is_right_again_after_a_gap() -> None:
    async def what(exchange: Any) -> None:
        await exchange.watch_order_book(SYMBOL)
        gaps = 0
        with fault("skip-depth", share="50"):
            while gaps < 2:
                try:
                    await exchange.watch_order_book(SYMBOL)
                except ccxt.ChecksumError:  # ccxt's word for a gap; the next call subscribes anew
                    gaps += 1
        for _ in range(10):
            try:
                assert same_book(await exchange.watch_order_book(SYMBOL))
            except ccxt.ChecksumError:
                gaps += 1
        assert gaps <= 4, "a gap is not mended"

    await with_exchange(what)


async def check_market_streams() -> None:
    async def what(exchange: Any) -> None:
        watches = (exchange.watch_trades(SYMBOL), exchange.watch_ticker(SYMBOL), exchange.watch_ohlcv(SYMBOL, "1m"))
        watching = asyncio.gather(*watches)
        placed = []
        while not watching.done():  # a trade from before a stream is connected is not seen on it
            placed.append(await exchange.create_order(SYMBOL, "market", "buy", 0.001))
            await asyncio.wait([watching], timeout=0.5)
        trades, ticker, candles = watching.result()
        assert {str(t["id"]) for t in trades} & {t["id"] for order in placed for t in order["trades"]}
        assert ticker["last"] > 0
        assert ticker["open"] > 0
        assert len(candles[-1]) == 6

    await with_exchange(what)


async def check_the_user_stream() -> None:
    async def what(exchange: Any) -> None:
        watches = (exchange.watch_orders(SYMBOL), exchange.watch_my_trades(SYMBOL), exchange.watch_balance())
        watching = asyncio.gather(*watches)
        placed = []
        while not watching.done():  # an order from before the stream is subscribed is not told
            placed.append((await exchange.create_order(SYMBOL, "market", "buy", 0.001))["id"])
            await asyncio.wait([watching], timeout=0.5)
        orders, fills, _ = watching.result()
        assert {order["id"] for order in orders} <= set(placed)
        assert {fill["order"] for fill in fills} <= set(placed)
        states: set[str] = set()

        async def follow() -> None:
            while "canceled" not in states:
                told = await exchange.watch_orders(SYMBOL)
                states.update(o["status"] for o in told if o["clientOrderId"] == "watched-2")

        following = asyncio.create_task(follow())
        rests = await exchange.create_order(SYMBOL, "limit", "buy", 0.01, 50_000, {"newClientOrderId": "watched-2"})
        while "open" not in states:  # ccxt forgets what it is told while nobody watches
            await asyncio.sleep(0.01)
        await exchange.cancel_order(rests["id"], SYMBOL)
        await following

    await with_exchange(what)


async def check_orders_over_the_websocket_api() -> None:
    async def what(exchange: Any) -> None:
        placed = await exchange.create_order_ws(SYMBOL, "limit", "buy", 0.01, 50_000, {"newClientOrderId": "over-ws"})
        assert placed["status"] == "open"
        assert (await exchange.fetch_order_ws(placed["id"], SYMBOL))["clientOrderId"] == "over-ws"
        assert (await exchange.cancel_order_ws(placed["id"], SYMBOL))["status"] == "canceled"

    await with_exchange(what)


if __name__ == "__main__":
    run(globals())
