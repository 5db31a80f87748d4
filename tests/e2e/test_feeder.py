"""The feeder between a real venue and a real bus on loopback: whatever fails (feeder, network, venue, bus), every trade reaches
the bus with one effect, and the feeder's books equal the venue's level by level."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from random import Random
from typing import Any
from urllib.request import Request, urlopen

import msgspec
import pytest

from tests.e2e.feeding import RTO_S, Feeding
from tests.e2e.stack_harness import Stack, eventually, get, home_for_nobody


@pytest.fixture
def feeding() -> Iterator[Callable[..., Feeding]]:
    """Make one; all of it ends with the test."""
    made: list[Feeding] = []
    with home_for_nobody() as home:
        stack = Stack(home)

        def make(resilience: dict[str, Any] | None = None) -> Feeding:
            stack.resilience = resilience or {}
            made.append(Feeding(stack))
            return made[-1]

        yield make
        for it in made:
            it.close()


@pytest.mark.parametrize("how", ["silent wire", "stopped venue"])
def test_scenario_S3_02_a_silent_stream_is_noticed_within_seconds(feeding: Callable[..., Feeding], how: str) -> None:
    it = feeding()
    first = it.first()
    wire = how == "silent wire"
    began = time.monotonic()
    it.wire.cut() if wire else it.stack.pause("venue")
    eventually("the connection is given up", lambda: it.metric("stale_total") >= 1)
    noticed = time.monotonic() - began
    assert it.metric('stream_age_seconds{stream="btcusdt"}') > 2
    it.wire.mend() if wire else it.stack.resume("venue")
    began = time.monotonic()
    it.order(4)
    it.complete(first)
    print(f"{how}: given up after {noticed:.1f} s, complete {time.monotonic() - began:.1f} s after its end")
    assert noticed < 10


@pytest.mark.parametrize("cut_s", [3, 10])
def test_scenario_S3_03_N_01_a_cut_is_backfilled_by_rest_to_the_last_trade(
    feeding: Callable[..., Feeding], cut_s: float
) -> None:
    it = feeding()
    first = it.first()
    it.wire.cut()
    end = time.monotonic() + cut_s
    while time.monotonic() < end:
        it.order(2)
    began = time.monotonic()
    it.wire.mend()
    it.complete(first)
    print(
        f"cut {cut_s} s: complete {time.monotonic() - began:.1f} s after its end, {it.metric('backfilled_total'):.0f} by REST"
    )
    if cut_s == 10:  # long enough that the connection was given up: what it missed did not come later by itself
        assert it.metric("backfilled_total") > 10
        assert it.metric("connects_total") >= 2
    assert time.monotonic() - began < RTO_S


def test_scenario_K_06_left_out_depth_is_resynchronised_and_the_stream_goes_on(feeding: Callable[..., Feeding]) -> None:
    it = feeding()
    first = it.first()
    fault = {"name": "skip-depth", "for_s": 60, "seed": 3, "params": {"share": "30%"}}
    request = Request(it.stack.url("control", "faults"), data=msgspec.json.encode(fault), method="POST")  # noqa: S310
    with urlopen(request, timeout=10) as answer:  # noqa: S310
        id_ = msgspec.json.decode(answer.read())["id"]
    eventually("gaps", lambda: it.metric("sequence_gaps_total") >= 3)
    it.order(6)
    assert get(it.stack.url("control", f"faults/{id_}"), "DELETE")["hits"] >= 3
    it.complete(first)
    assert "sequence" in {gap["why"] for gap in get(it.stack.url("feeder", "gaps"))["recent"]}


def test_scenario_H_01_E_22_a_killed_feeder_goes_on_and_repeats_have_no_effect(
    feeding: Callable[..., Feeding], repeats: Callable[[int], int]
) -> None:
    it, random = feeding(), Random(5)
    first = it.first()
    for _ in range(repeats(20)):
        it.order(random.randrange(1, 20))
        time.sleep(random.uniform(0, 0.3))  # any moment, in the middle of a batch too
        it.stack.kill("feeder")
        it.order(3)
        it.stack.again("feeder")
        began = time.monotonic()
        eventually("it follows again", lambda: it.metric("connects_total") >= 1)
        it.order(2)
        it.complete(first)
        assert time.monotonic() - began < RTO_S
    inbox = it.complete(first)
    print(f"killed: {inbox.counts}")


def test_scenario_B_07_while_the_bus_is_away_the_buffer_is_bounded_and_nothing_is_lost(
    feeding: Callable[..., Feeding],
) -> None:
    it = feeding({"feeder": {"buffer": 60}})
    first = it.first()
    it.stack.pause("redis")
    while it.metric("dropped_total") < 100:
        it.order(10)
        assert it.metric("buffer_depth") <= 60 + 1000  # what waits, and the batch that is under way
    dropped = it.metric("dropped_total")
    it.stack.resume("redis")
    began = time.monotonic()
    inbox = it.complete(first)
    print(f"{dropped:.0f} dropped, complete {time.monotonic() - began:.1f} s after the bus was back: {inbox.counts}")
    assert inbox.counts.missed > 0
    assert {gap["why"] for gap in get(it.stack.url("feeder", "gaps"))["recent"]} >= {"overflow"}


def test_scenario_R_05_a_feeder_that_is_stopped_loses_nothing(feeding: Callable[..., Feeding]) -> None:
    it = feeding()
    first = it.first()
    it.order(10)
    it.stack.kill("feeder", signal.SIGTERM)
    it.order(4)
    it.stack.again("feeder")
    it.complete(first)
    beat = msgspec.json.decode((it.stack.home / "feeder/feeder.heartbeat.json").read_bytes())
    assert beat["run"] == get(it.stack.url("feeder", "health"))["run"]
    assert time.time() - beat["t"] < 10
