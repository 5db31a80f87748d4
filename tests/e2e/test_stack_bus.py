"""Data plane and order plane on loopback: one may be dead or full of garbage while the other works."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import redis

from tests.e2e.stack_harness import Stack, eventually, get, home_for_nobody, text

GARBAGE = [b"", b"{", b"\xff\xfe\x00", b"null\n{}\n[1,2", b'{"id":1}', b"x" * 100_000]


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with home_for_nobody() as home:
        stack = Stack(home)
        stack.up()
        yield stack
        stack.down()


def venue_number(stack: Stack, name: str) -> float:
    lines = text(stack.url("control", "metrics")).splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))


def resting(stack: Stack, count: int = 2) -> None:
    eventually(f"{count} orders rest", lambda: venue_number(stack, "venue_open_orders") >= count, 60)


def test_garbage_on_the_bus_is_counted_and_trading_goes_on(stack: Stack) -> None:
    client = redis.Redis(port=stack.port["redis"], protocol=2)
    for garbage in GARBAGE * 20:
        client.xadd("md", {"m": garbage})
    client.xadd("md", {"other": "field"})
    client.close()
    stack.trading(more=5)
    assert stack.metric("bus_malformed_total") >= 20 * len(GARBAGE)
    assert stack.metric("bus_out_of_order_total") == 0
    eventually("nothing is left to read", lambda: stack.metric("bus_consumer_lag") == 0)


def test_scenario_B_06_with_the_feed_dead_orders_are_still_taken_back(stack: Stack) -> None:
    stack.trading()
    resting(stack)
    stack.kill("feeder")
    eventually("noticed", lambda: "Feeder" in stack.trader("health")["failing_components"], 20)
    stack.quiet()
    assert venue_number(stack, "venue_open_orders") == 0
    stack.trader("resume", "POST")
    stack.start("feeder")
    began = time.monotonic()
    stack.trading(deadline_s=60)
    print(f"trading {time.monotonic() - began:.1f} s after the feeder was back")


def test_scenario_B_06_with_the_order_plane_dead_the_data_flows(stack: Stack) -> None:
    stack.kill("trader-a")

    def published() -> float:
        lines = text(stack.url("feeder", "metrics")).splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith("feeder_published_total "))

    goal = published() + 50
    eventually("50 more messages", lambda: published() >= goal, 60)
    assert all(get(stack.url("feeder", f"book?symbol={symbol}"))["synced"] for symbol in ("BTCUSDT", "ETHUSDT"))
    stack.again("trader-a")
    stack.trading(deadline_s=60)
