"""Binance's own binance-sdk-spot: REST, the WebSocket API and streams."""

from __future__ import annotations

import asyncio
from typing import Any

from binance_common.configuration import (
    ConfigurationRestAPI,
    ConfigurationWebSocketAPI,
    ConfigurationWebSocketStreams,
)
from binance_common.errors import BadRequestError, UnauthorizedError
from binance_sdk_spot.spot import Spot
from told import KEY, REST, SECRET, WS, journal, raises, run

SYMBOL = "BTCUSDT"
ORDER = {"symbol": SYMBOL, "side": "BUY", "type": "LIMIT", "time_in_force": "GTC", "quantity": 0.01, "price": 50000.0}


def spot(secret: str = SECRET, key: str = KEY) -> Spot:
    return Spot(
        config_rest_api=ConfigurationRestAPI(api_key=key, api_secret=secret, base_path=REST, timeout=10_000),
        config_ws_api=ConfigurationWebSocketAPI(api_key=key, api_secret=secret, stream_url=f"{WS}/ws-api/v3"),
        config_ws_streams=ConfigurationWebSocketStreams(stream_url=f"{WS}/stream"),
    )


def check_place_query_cancel() -> None:
    api = spot().rest_api
    placed = api.new_order(**ORDER, new_client_order_id="sdk-1").data()
    assert (placed.status, placed.client_order_id) == ("NEW", "sdk-1")
    assert api.get_order(SYMBOL, orig_client_order_id="sdk-1").data().order_id == placed.order_id
    assert api.delete_order(SYMBOL, order_id=placed.order_id).data().status == "CANCELED"
    assert [kind for kind in journal("sdk-1") if kind != "REQUEST"] == ["ACCEPTED", "CANCELED"]


def check_fills_and_limits() -> None:
    api = spot().rest_api
    answer = api.new_order(symbol=SYMBOL, side="BUY", type="MARKET", quantity=0.001)
    assert answer.data().status == "FILLED"
    assert answer.rate_limits
    assert [trade.order_id for trade in api.my_trades(SYMBOL, order_id=answer.data().order_id).data()]


def check_errors() -> None:
    error = raises(BadRequestError, spot().rest_api.delete_order, SYMBOL, order_id=5)
    assert "Unknown order sent." in str(error)
    raises(UnauthorizedError, spot(key="wrong").rest_api.get_account)


async def check_the_websocket_api() -> None:
    connection = await spot().websocket_api.create_connection()
    try:
        placed = (await connection.order_place(**ORDER)).data().result
        assert placed.status == "NEW"
        gone = (await connection.order_cancel(symbol=SYMBOL, order_id=placed.order_id)).data().result
        assert gone.status == "CANCELED"
    finally:
        await connection.close_connection()


async def check_streams() -> None:
    connection = await spot().websocket_streams.create_connection()
    heard: asyncio.Queue[Any] = asyncio.Queue()
    try:
        stream = await connection.diff_book_depth(symbol="btcusdt", update_speed="100ms")
        stream.on("message", heard.put_nowait)
        first, second = await heard.get(), await heard.get()
        assert first.u + 1 == second.U
    finally:
        await connection.close_connection()


if __name__ == "__main__":
    run(globals())
