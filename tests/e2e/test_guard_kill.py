"""E-04, the kill switch of a dead trader: the guard cancels with its own key, even while the venue does not answer."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import signal
import threading
import time
import urllib.request
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest

from stormdesk.testnet.guard.kill import KillSwitch, Pulled
from tests.e2e.stack_harness import SYMBOLS, Stack, eventually, home_for_nobody


@pytest.fixture
def stack() -> Iterator[Stack]:
    with home_for_nobody() as home:
        stack = Stack(home)
        stack.start("venue")
        eventually("the venue answers", lambda: ping(stack))
        yield stack
        stack.down()


def ping(stack: Stack) -> bool:
    with urllib.request.urlopen(stack.url("venue", "api/v3/ping"), timeout=5) as answer:  # noqa: S310
        return bool(answer.status == 200)


def signed(stack: Stack, method: str, path: str, **params: str) -> Any:
    """A request with the trader's key."""
    query = urlencode({**params, "timestamp": int(time.time() * 1000)})
    signature = hmac.new(b"test-secret", query.encode(), hashlib.sha256).hexdigest()
    url = stack.url("venue", f"api/v3/{path}?{query}&signature={signature}")
    request = urllib.request.Request(url, method=method, headers={"X-MBX-APIKEY": "test-key"})  # noqa: S310
    with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310
        return json.load(answer)


def rest(stack: Stack, symbol: str, price: str, qty: str) -> None:
    """An order far from the market, which stays open."""
    order = {"symbol": symbol, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": qty, "price": price}
    signed(stack, "POST", "order", **order)


def open_orders(stack: Stack) -> int:
    return sum(len(signed(stack, "GET", "openOrders", symbol=symbol)) for symbol in SYMBOLS)


def pull(stack: Stack, within_s: float, key: str = "guard", sign: str = "guard") -> Pulled:
    async def run() -> Pulled:
        async with aiohttp.ClientSession() as session:
            base = f"http://127.0.0.1:{stack.port['venue']}"
            return await KillSwitch(session, base, f"{key}-key", f"{sign}-secret", SYMBOLS).pull(within_s)

    return asyncio.run(run())


def near(stack: Stack, symbol: str) -> str:
    """A price a tenth of a percent of the market away from trading."""
    with urllib.request.urlopen(stack.url("venue", f"api/v3/ticker/price?symbol={symbol}"), timeout=5) as answer:  # noqa: S310
        return f"{float(json.load(answer)['price']) * 0.97:.2f}"


def test_scenario_E_04_all_orders_are_canceled_and_none_is_left(stack: Stack) -> None:
    for _ in range(3):
        rest(stack, "BTCUSDT", near(stack, "BTCUSDT"), "0.01")
        rest(stack, "ETHUSDT", near(stack, "ETHUSDT"), "0.1")
    assert open_orders(stack) == 6
    done = pull(stack, 5)
    assert (done.open_at_venue, done.verified, done.error) == (0, True, "")
    assert open_orders(stack) == 0
    again = pull(stack, 5)  # nothing to cancel is fine
    assert again.verified


def test_scenario_E_04_a_venue_that_does_not_answer_is_never_called_empty(stack: Stack) -> None:
    rest(stack, "BTCUSDT", near(stack, "BTCUSDT"), "0.01")
    stack.pause("venue")
    try:
        done = pull(stack, 1)
    finally:
        stack.resume("venue")
    assert (done.open_at_venue, done.verified) == (None, False)
    assert done.error
    assert pull(stack, 10).verified
    stack.kill("venue", signal.SIGKILL)
    assert not pull(stack, 1).verified


def test_scenario_E_04_a_venue_that_comes_back_in_time_is_emptied(stack: Stack) -> None:
    rest(stack, "BTCUSDT", near(stack, "BTCUSDT"), "0.01")
    stack.pause("venue")
    timer = threading.Timer(4, lambda: stack.resume("venue"))  # later than one question waits
    timer.start()
    try:
        done = pull(stack, 20)
    finally:
        timer.join()
    assert done.verified
    assert open_orders(stack) == 0


def test_scenario_E_15_a_banned_address_waits_and_then_cancels(stack: Stack) -> None:
    rest(stack, "BTCUSDT", near(stack, "BTCUSDT"), "0.01")
    ban = json.dumps({"name": "ban", "for_s": 20, "params": {"retry_after": "3s"}}).encode()
    with urllib.request.urlopen(stack.url("control", "faults"), ban, timeout=5) as answer:  # noqa: S310
        assert answer.status == 201
    done = pull(stack, 15)
    assert done.verified
    kinds = [line["kind"] for line in stack.journal()]
    assert kinds.count("THROTTLED") == 1
    assert "EARLY" not in kinds


def test_a_key_that_the_venue_does_not_know_cancels_nothing(stack: Stack) -> None:
    rest(stack, "BTCUSDT", near(stack, "BTCUSDT"), "0.01")
    done = pull(stack, 1, key="no")
    assert (done.open_at_venue, done.verified) == (None, False)
    assert "-2015" in done.error
    assert not pull(stack, 1, sign="wrong").verified
    assert open_orders(stack) == 1
