"""binance-connector: places, queries, cancels, fills, a listen key, its stream client."""

from __future__ import annotations

import json
from decimal import Decimal
from queue import Queue
from typing import Any

from binance.error import ClientError
from binance.spot import Spot
from binance.websocket.spot.websocket_stream import SpotWebsocketStreamClient
from told import KEY, REST, SECRET, WS, journal, raises, run

SYMBOL = "BTCUSDT"
spot = Spot(KEY, SECRET, base_url=REST)
ORDER = {"symbol": SYMBOL, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.01", "price": "50000"}
MARKET = {"symbol": SYMBOL, "side": "BUY", "type": "MARKET", "quantity": "0.001"}


def check_place_query_cancel() -> None:
    placed = spot.new_order(**ORDER, newClientOrderId="bc-1")
    assert spot.get_order(SYMBOL, origClientOrderId="bc-1")["orderId"] == placed["orderId"]
    assert [o["clientOrderId"] for o in spot.get_open_orders(SYMBOL)] == ["bc-1"]
    assert spot.cancel_order(SYMBOL, orderId=placed["orderId"])["status"] == "CANCELED"
    assert [kind for kind in journal("bc-1") if kind != "REQUEST"] == ["ACCEPTED", "CANCELED"]


def check_fills() -> None:
    placed = spot.new_order(**MARKET)
    trades = spot.my_trades(SYMBOL, orderId=placed["orderId"])
    assert sum(Decimal(trade["qty"]) for trade in trades) == Decimal("0.001")
    assert spot.account()["balances"]


def check_market_data() -> None:
    assert spot.ping() == {}
    assert spot.time()["serverTime"] > 0
    assert len(spot.exchange_info(symbols=["BTCUSDT", "ETHUSDT"])["symbols"]) == 2
    assert spot.depth(SYMBOL, limit=5)["bids"]
    assert spot.historical_trades(SYMBOL, limit=2)
    assert spot.klines(SYMBOL, "1m")
    assert spot.ticker_24hr(SYMBOL)["count"] > 0
    assert spot.ticker_price(SYMBOL)["price"]


def check_errors() -> None:
    error: Any = raises(ClientError, spot.cancel_order, SYMBOL, orderId=5)
    assert (error.status_code, error.error_code, error.error_message) == (400, -2011, "Unknown order sent.")
    error = raises(ClientError, Spot("wrong", SECRET, base_url=REST).account)
    assert (error.status_code, error.error_code) == (401, -2015)


def check_streams_and_a_listen_key() -> None:
    key = spot.new_listen_key()["listenKey"]
    spot.renew_listen_key(key)
    heard: Queue[Any] = Queue()
    stream = SpotWebsocketStreamClient(stream_url=WS, on_message=lambda _, text: heard.put(json.loads(text)))
    stream.user_data(listen_key=key)
    stream.trade(symbol="btcusdt")
    stream.diff_book_depth(symbol="btcusdt", speed=100)
    while heard.get(timeout=20).get("e") != "depthUpdate":
        pass
    placed = spot.new_order(**MARKET)
    seen: set[str] = set()
    while not {"executionReport", "trade", "outboundAccountPosition"} <= seen:
        message = heard.get(timeout=20)
        seen.add(message.get("e", ""))
        assert message.get("e") != "executionReport" or message["i"] == placed["orderId"]
    stream.stop()


if __name__ == "__main__":
    run(globals())
