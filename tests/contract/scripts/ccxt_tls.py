"""ccxt over TLS by the venue's name, as at the real exchange, so that ccxt treats it as Binance's spot market."""

from __future__ import annotations

import asyncio
import contextlib
import os

import ccxt
import ccxt.pro
from told import KEY, SECRET, fault, raises, run

SYMBOL = "BTC/USDT"
CONFIG = {
    "apiKey": KEY,
    "secret": SECRET,
    "hostname": "venue.internal:8443",
    "requests_trust_env": True,
    "options": {"fetchMarkets": {"types": ["spot"]}, "fetchCurrencies": False, "fetchMargins": False},
}


def spot(kind: type = ccxt.binance) -> ccxt.Exchange:
    """An exchange whose addresses are Binance's own but for the host."""
    exchange = kind(CONFIG)
    api = exchange.urls["api"]
    for name in ("public", "private", "v1", "sapi"):
        api[name] = api[name].replace("api.binance.com", "api.venue.internal:8443")
    return exchange


def check_an_order_over_tls() -> None:
    exchange = spot()
    exchange.load_markets()
    placed = exchange.create_order(SYMBOL, "limit", "buy", 0.01, 50_000)
    assert exchange.last_request_url.startswith("https://api.venue.internal:8443/api/v3/order")
    assert exchange.cancel_order(placed["id"], SYMBOL)["status"] == "canceled"


def check_nobody_else_signs_for_that_name() -> None:
    bundle = os.environ.pop("REQUESTS_CA_BUNDLE")
    try:
        error = raises(ccxt.NetworkError, spot().load_markets)
        assert "CERTIFICATE_VERIFY_FAILED" in str(error.__cause__)
    finally:
        os.environ["REQUESTS_CA_BUNDLE"] = bundle


def check_an_overloaded_venue_has_its_own_class_at_this_name() -> None:
    exchange = spot()
    exchange.load_markets()
    with fault("error-5xx", share="100", code="-1008", when="before"):
        raises(ccxt.OperationFailed, exchange.create_order, SYMBOL, "limit", "buy", 0.01, 50_000)


async def check_streams_over_tls() -> None:
    exchange = spot(ccxt.pro.binance)
    exchange.cafile = os.environ["REQUESTS_CA_BUNDLE"]
    exchange.urls["api"]["ws"] |= {"spot": "wss://api.venue.internal:8443/ws"}
    try:
        await exchange.load_markets()
        book = await asyncio.wait_for(exchange.watch_order_book(SYMBOL), 30)
        assert len(book["bids"]) >= 10
    finally:
        with contextlib.suppress(AttributeError):  # asyncio before 3.11.4, on a TLS connection that is closed already
            await exchange.close()


if __name__ == "__main__":
    run(globals())
