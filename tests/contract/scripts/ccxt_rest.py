"""ccxt, synchronous: places, queries, cancels, fills, reads markets."""

from __future__ import annotations

from decimal import Decimal

import ccxt
from told import KEY, REST, SECRET, control, eventually, journal, run

SYMBOL = "BTC/USDT"
CONFIG = {
    "apiKey": KEY,
    "secret": SECRET,
    "urls": {"api": {"public": f"{REST}/api/v3", "private": f"{REST}/api/v3", "sapi": f"{REST}/sapi/v1"}},
    "options": {"fetchMarkets": {"types": ["spot"]}, "fetchCurrencies": False, "fetchMargins": False},
}
exchange = ccxt.binance(CONFIG)


def order(cid: str, price: float = 50_000) -> dict:
    return exchange.create_order(SYMBOL, "limit", "buy", 0.01, price, {"newClientOrderId": cid})


def check_markets() -> None:
    markets = exchange.load_markets()
    assert {"BTC/USDT", "ETH/USDT"} == set(markets)
    market = markets[SYMBOL]
    assert (market["active"], market["spot"]) == (True, True)
    assert (market["precision"]["price"], market["precision"]["amount"]) == (0.01, 0.00001)
    assert market["limits"]["cost"]["min"] == 5


def check_the_clock() -> None:
    assert abs(exchange.load_time_difference()) < 5000


def check_place_query_cancel() -> None:
    placed = order("rest-1")
    assert (placed["status"], placed["clientOrderId"]) == ("open", "rest-1")
    assert exchange.fetch_order(placed["id"], SYMBOL)["clientOrderId"] == "rest-1"
    by_client_id = exchange.fetch_order("", SYMBOL, {"origClientOrderId": "rest-1"})
    assert (by_client_id["id"], by_client_id["status"]) == (placed["id"], "open")
    assert [o["id"] for o in exchange.fetch_open_orders(SYMBOL)] == [placed["id"]]
    assert exchange.fetch_balance()["USDT"]["used"] == 500.0
    assert exchange.cancel_order(placed["id"], SYMBOL)["status"] == "canceled"
    assert exchange.fetch_order(placed["id"], SYMBOL)["status"] == "canceled"
    assert exchange.fetch_open_orders(SYMBOL) == []
    assert [kind for kind in journal("rest-1") if kind != "REQUEST"] == ["ACCEPTED", "CANCELED"]


def check_cancel_all() -> None:
    placed = {order(f"all-{n}", 50_000 - n)["id"] for n in range(3)}
    exchange.cancel_all_orders(SYMBOL)
    assert exchange.fetch_open_orders(SYMBOL) == []
    closed = {o["id"]: o["status"] for o in exchange.fetch_orders(SYMBOL)}
    assert {closed[i] for i in placed} == {"canceled"}


def check_fill_and_balance() -> None:
    before = control("balances")["desk"]
    filled = exchange.create_order(SYMBOL, "market", "buy", 0.1, None, {"newClientOrderId": "fill-1"})
    assert (filled["status"], filled["filled"]) == ("closed", 0.1)
    trades = exchange.fetch_my_trades(SYMBOL, params={"orderId": filled["id"]})
    assert sum(Decimal(str(t["amount"])) for t in trades) == Decimal("0.1")
    lines = [x for x in control("journal?since=0") if x["kind"] == "TRADE" and x["client_order_id"] == "fill-1"]
    assert {t["id"] for t in trades} == {str(line["trade_id"]) for line in lines}
    after = exchange.fetch_balance()["info"]["balances"]
    held = {b["asset"]: Decimal(b["free"]) for b in after}
    bought = sum(Decimal(line["qty"]) - Decimal(line["fee"]) for line in lines)
    assert held["BTC"] == Decimal(before["BTC"]["free"]) + bought
    assert held["USDT"] == Decimal(before["USDT"]["free"]) - sum(Decimal(line["quote_qty"]) for line in lines)


def check_a_market_order_by_cost() -> None:
    bought = exchange.create_market_buy_order_with_cost(SYMBOL, 600)
    sold = exchange.create_market_sell_order_with_cost(SYMBOL, 500)
    assert bought["status"] == sold["status"] == "closed"
    assert 599 < bought["cost"] <= 600
    assert 499 < sold["cost"] <= 500


def check_a_limit_order_is_filled_later() -> None:
    best = exchange.fetch_order_book(SYMBOL, 5)["bids"][0][0]
    placed = exchange.create_order(SYMBOL, "limit", "sell", 0.001, round(best + 0.5, 2), {"newClientOrderId": "later"})
    eventually("a fill", lambda: exchange.fetch_order(placed["id"], SYMBOL)["status"] == "closed")


def check_market_data() -> None:
    book = exchange.fetch_order_book(SYMBOL, 5)
    assert len(book["bids"]) == len(book["asks"]) == 5
    assert book["bids"][0][0] < book["asks"][0][0]
    assert exchange.fetch_trades(SYMBOL, limit=5)[-1]["symbol"] == SYMBOL
    candles = exchange.fetch_ohlcv(SYMBOL, "1m", limit=3)
    assert len(candles[-1]) == 6
    assert candles[-1][5] > 0
    assert len(exchange.fetch_ohlcv(SYMBOL, "1h")) == 1
    ticker = exchange.fetch_ticker(SYMBOL)
    assert min(ticker[name] for name in ("bid", "ask", "last", "baseVolume")) > 0
    assert set(exchange.fetch_tickers()) == {"BTC/USDT", "ETH/USDT"}
    assert exchange.fetch_bids_asks()[SYMBOL]["bid"]
    assert exchange.fetch_trading_fee(SYMBOL)["maker"] == 0.001


if __name__ == "__main__":
    run(globals())
