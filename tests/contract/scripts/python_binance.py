"""python-binance: places, queries, cancels, fills, its depth cache and its sockets."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

from binance import AsyncClient, BinanceSocketManager, Client, DepthCacheManager
from binance.exceptions import BinanceAPIException
from told import KEY, REST, SECRET, WS, control, fault, journal, raises, run

SYMBOL = "BTCUSDT"
for kind in (Client, AsyncClient):
    kind.API_URL = f"{REST}/api"
    kind.MARGIN_API_URL = f"{REST}/sapi"
    kind.WS_API_URL = f"{WS}/ws-api/v3"
BinanceSocketManager.STREAM_URL = f"{WS}/"


def client() -> Client:
    return Client(KEY, SECRET)


def check_place_query_cancel() -> None:
    it = client()
    placed = it.order_limit_buy(symbol=SYMBOL, quantity="0.01", price="50000", newClientOrderId="pb-1")
    assert placed["status"] == "NEW"
    assert it.get_order(symbol=SYMBOL, origClientOrderId="pb-1")["orderId"] == placed["orderId"]
    assert [o["clientOrderId"] for o in it.get_open_orders(symbol=SYMBOL)] == ["pb-1"]
    assert it.cancel_order(symbol=SYMBOL, orderId=placed["orderId"])["status"] == "CANCELED"
    assert [kind for kind in journal("pb-1") if kind != "REQUEST"] == ["ACCEPTED", "CANCELED"]


def check_fill_and_balance() -> None:
    it = client()
    before = Decimal(it.get_asset_balance(asset="BTC")["free"])
    placed = it.order_market_buy(symbol=SYMBOL, quantity="0.05")
    fees = sum(Decimal(fill["commission"]) for fill in placed["fills"])
    assert sum(Decimal(fill["qty"]) for fill in placed["fills"]) == Decimal("0.05")
    assert Decimal(it.get_asset_balance(asset="BTC")["free"]) == before + Decimal("0.05") - fees
    ids = {trade["id"] for trade in it.get_my_trades(symbol=SYMBOL, orderId=placed["orderId"])}
    assert ids == {fill["tradeId"] for fill in placed["fills"]}


def check_market_data() -> None:
    it = client()
    assert {s["symbol"] for s in it.get_exchange_info()["symbols"]} == {"BTCUSDT", "ETHUSDT"}
    assert it.get_symbol_info(SYMBOL)["baseAsset"] == "BTC"
    assert len(it.get_order_book(symbol=SYMBOL, limit=5)["bids"]) == 5
    assert len(it.get_klines(symbol=SYMBOL, interval="1m")[-1]) == 12
    assert it.get_ticker(symbol=SYMBOL)["symbol"] == SYMBOL
    assert Decimal(it.get_avg_price(symbol=SYMBOL)["price"]) > 0
    assert it.get_trade_fee(symbol=SYMBOL)[0]["makerCommission"] == "0.001"
    assert it.get_orderbook_ticker(symbol=SYMBOL)["askPrice"]


def check_errors_have_their_codes() -> None:
    it = client()
    for code, call, words in (
        (-2011, it.cancel_order, {"symbol": SYMBOL, "orderId": 5}),
        (-2013, it.get_order, {"symbol": SYMBOL, "orderId": 5}),
        (-1121, it.get_order_book, {"symbol": "NOPE"}),
        (-1013, it.order_limit_buy, {"symbol": SYMBOL, "quantity": "0.000001", "price": "50000"}),
        (-2010, it.order_market_sell, {"symbol": SYMBOL, "quantity": "500"}),
    ):
        error = raises(BinanceAPIException, call, **words)
        assert error.code == code, (error.code, code)
    wrong = Client(KEY, "wrong")
    assert raises(BinanceAPIException, wrong.get_account).code == -1022


def check_a_listen_key() -> None:
    it = client()
    key = it.stream_get_listen_key()
    it.stream_keepalive(key)
    it.stream_close(key)
    assert raises(BinanceAPIException, it.stream_keepalive, key).code == -1125


async def check_the_depth_cache_equals_the_venues() -> None:
    it = await AsyncClient.create(KEY, SECRET)
    try:
        async with DepthCacheManager(it, symbol=SYMBOL, ws_interval=100) as socket:
            for _ in range(20):
                cache = await socket.recv()
                venue = control(f"depth?symbol={SYMBOL}&at={socket._last_update_id}")
                for side in ("bids", "asks"):
                    mine = [list(level) for level in getattr(cache, f"get_{side}")()]
                    theirs = [[float(price), float(qty)] for price, qty in venue[side]]
                    assert mine == theirs[: len(mine)], side
                    assert len(mine) >= 10
    finally:
        await it.close_connection()


async def check_the_depth_cache_is_right_again_after_a_gap() -> None:
    it = await AsyncClient.create(KEY, SECRET)
    try:
        async with DepthCacheManager(it, symbol=SYMBOL, ws_interval=100) as socket:
            await socket.recv()
            with fault("skip-depth", at_least=3, share="50"):
                for _ in range(10):
                    await socket.recv()
            for _ in range(5):  # what was skipped last is noticed with the next message
                cache = await socket.recv()
            venue = control(f"depth?symbol={SYMBOL}&at={socket._last_update_id}")
            assert [list(level) for level in cache.get_bids()] == [
                [float(price), float(qty)] for price, qty in venue["bids"]
            ][: len(cache.get_bids())]
    finally:
        await it.close_connection()


async def check_the_user_stream() -> None:
    it = await AsyncClient.create(KEY, SECRET)
    try:
        async with BinanceSocketManager(it).user_socket() as socket:
            placed = await it.order_market_buy(symbol=SYMBOL, quantity="0.001", newClientOrderId="pb-user")
            seen: list[Any] = []
            while not any(event.get("X") == "FILLED" for event in seen):
                message = await socket.recv()
                seen.append(message.get("event", message))
            assert {e["i"] for e in seen if e["e"] == "executionReport"} == {placed["orderId"]}
            assert "outboundAccountPosition" in {event["e"] for event in seen} or await socket.recv()
    finally:
        await it.close_connection()


async def check_market_sockets() -> None:
    it = await AsyncClient.create(KEY, SECRET)
    try:
        manager = BinanceSocketManager(it)
        names = ["btcusdt@trade", "btcusdt@bookTicker", "btcusdt@kline_1m"]
        async with manager.multiplex_socket(names) as socket:
            await it.order_market_buy(symbol=SYMBOL, quantity="0.001")
            seen = set()
            while seen != set(names):
                seen.add((await socket.recv())["stream"])
    finally:
        await it.close_connection()


async def check_orders_over_the_websocket_api() -> None:
    it = await AsyncClient.create(KEY, SECRET)
    try:
        placed = await it.ws_create_order(
            symbol=SYMBOL, side="BUY", type="LIMIT", timeInForce="GTC", quantity="0.01", price="50000"
        )
        assert placed["status"] == "NEW"
        gone = await it.ws_cancel_order(symbol=SYMBOL, orderId=placed["orderId"])
        assert gone["status"] == "CANCELED"
    finally:
        await it.close_connection()
        await asyncio.sleep(0)


if __name__ == "__main__":
    run(globals())
