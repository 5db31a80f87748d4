"""The bus on a real Kafka broker: the feeder's messages reach readers in order and with one effect, whatever is killed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator
from random import Random
from typing import Any

import pytest

from stormdesk.testnet.bus import Bus, BusError, Message, connect
from tests.e2e import stack_kafka
from tests.e2e.feeding import RTO_S, Feeding
from tests.e2e.stack_harness import Stack, eventually, home_for_nobody

DELIVERY_S = 2.0


@pytest.fixture(scope="module")
def feeding() -> Iterator[Feeding]:
    """One broker for all tests; each leaves it running."""
    with home_for_nobody() as home:
        stack = Stack(home)
        stack.resilience = {"feeder": {"delivery_timeout_s": DELIVERY_S}}
        print(f"resilience: {stack.resilience}")
        it = Feeding(stack, kafka=True)
        yield it
        it.close()


def with_bus(it: Feeding, scenario: Callable[[Bus, Bus], Coroutine[Any, Any, None]]) -> None:
    """Run a scenario with a producer and a reader of a topic of its own."""

    async def run() -> None:
        topic = f"t{time.monotonic_ns()}"
        one, other = connect(it.stack.bus, topic, DELIVERY_S), connect(it.stack.bus, topic, DELIVERY_S)
        try:
            async with asyncio.timeout(90):
                await scenario(one, other)
        finally:
            await one.close()
            await other.close()

    asyncio.run(run())


def batch(first: int, last: int) -> list[Message]:
    return [Message(f"k{n % 3}", b"%d" % n) for n in range(first, last + 1)]


async def read(bus: Bus, count: int) -> list[int]:
    found: list[int] = []
    while len(found) < count:
        found += [int(message) for message in await bus.read(1.0)]
    return found


def test_each_keys_order_is_kept_and_lag_returns_to_zero(feeding: Feeding) -> None:
    async def scenario(producer: Bus, reader: Bus) -> None:
        assert await reader.read(0.1) == []
        for first in range(1, 3000, 500):
            await producer.publish(batch(first, first + 499))
        assert await reader.lag() == 3000
        found = await read(reader, 3000)
        assert await reader.lag() == 0
        for key in range(3):
            assert [n for n in found if n % 3 == key] == [n for n in range(1, 3001) if n % 3 == key]

    with_bus(feeding, scenario)


def test_a_reader_goes_on_where_it_was_when_the_broker_was_killed(feeding: Feeding) -> None:
    async def scenario(producer: Bus, reader: Bus) -> None:
        await reader.read(0.1)
        await producer.publish(batch(1, 100))
        assert len(await read(reader, 100)) == 100
        await producer.publish(batch(101, 200))
        await asyncio.to_thread(feeding.stack.kill, "kafka")
        with pytest.raises(BusError):
            await producer.publish(batch(201, 300))
        await asyncio.to_thread(stack_kafka.broker, feeding.stack)
        while True:
            try:
                await producer.publish(batch(201, 300))
                break
            except BusError:
                await asyncio.sleep(0.2)
        found: set[int] = set()
        while len(found) < 200:
            try:
                found |= {int(message) for message in await reader.read(1.0)}
            except BusError:
                await asyncio.sleep(0.2)
        assert found == set(range(101, 301))

    with_bus(feeding, scenario)


def test_scenario_B_01_what_waited_while_the_broker_was_gone_is_delivered_in_order(feeding: Feeding) -> None:
    first = feeding.first()
    for _ in range(2):
        feeding.order(4)
        feeding.stack.kill("kafka")
        end = time.monotonic() + 4
        while time.monotonic() < end:
            feeding.order(2)
        assert feeding.metric("buffer_depth") > 0
        stack_kafka.broker(feeding.stack)
        began = time.monotonic()
        inbox = feeding.complete(first)
        print(f"broker killed: complete {time.monotonic() - began:.1f} s after it listened again, {inbox.counts}")
    assert feeding.metric("refused_total") >= 1
    assert feeding.metric("dropped_total") == 0
    assert inbox.counts.missed == 0


def test_scenario_B_02_B_03_a_stalled_broker_times_out_and_repeats_have_no_effect(feeding: Feeding) -> None:
    first, refused = feeding.first(), feeding.metric("refused_total")
    feeding.stack.pause("kafka")
    eventually("publishing times out", lambda: feeding.metric("refused_total") > refused, DELIVERY_S + RTO_S)
    feeding.order(6)
    feeding.stack.resume("kafka")
    inbox = feeding.complete(first)
    eventually("nothing waits", lambda: feeding.metric("buffer_depth") == 0)
    print(f"broker stalled: {inbox.counts}")
    assert inbox.counts.missed == 0


def test_scenario_E_22_a_producer_killed_in_the_middle_of_a_batch_repeats_without_effect(
    feeding: Feeding, repeats: Callable[[int], int]
) -> None:
    first, random = feeding.first(), Random(9)
    for _ in range(repeats(20)):
        feeding.order(random.randrange(1, 20))
        time.sleep(random.uniform(0, 0.3))
        feeding.stack.kill("feeder")
        feeding.order(3)
        feeding.stack.again("feeder")
        eventually("it follows again", lambda: feeding.metric("connects_total") >= 1)
        inbox = feeding.complete(first)
    print(f"producer killed: {inbox.counts}")
