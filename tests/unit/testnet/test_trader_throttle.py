"""The throttle: pauses that the venue demands, across restarts; room for cancels; a bounded queue."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from stormdesk.testnet.answers import NotSentError
from stormdesk.testnet.resilience import Resilience, load
from stormdesk.testnet.trader.gates.files import StateFile
from stormdesk.testnet.trader.throttle import Throttle

SMALL = load({"throttle": {"orders_per_10s": 2, "weight_per_min": 20, "queue": 3}, "risk": {"messages_per_s": 2}})


def run(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(work())


def throttle(folder: Path, numbers: Resilience = SMALL) -> Throttle:
    return Throttle(StateFile(folder / "runtime/venue_wait.json"), numbers)


def test_scenario_SN_03_nothing_is_sent_before_retry_after_even_by_the_next_process(tmp_path: Path) -> None:
    async def scenario() -> None:
        first = throttle(tmp_path)
        await first.request(1, urgent=False)
        assert await first.refused("30") == 30
        await first.refused("2")  # a shorter wait does not end a longer one
        for process in (first, throttle(tmp_path)):
            assert 29 < process.silent_s() <= 30
            for urgent in (False, True):
                with pytest.raises(NotSentError, match="asked us to wait"):
                    await process.request(1, urgent=urgent)
        (tmp_path / "runtime/venue_wait.json").write_bytes(b"{")
        assert throttle(tmp_path).silent_s() == 0

    run(scenario)


def test_scenario_E_15_a_refusal_that_names_no_time_is_waited_for_longer_each_time(tmp_path: Path) -> None:
    async def scenario() -> None:
        mine = throttle(tmp_path, load({"retry": {"jitter": 0}}))
        assert [await mine.refused("") for _ in range(5)] == [1, 2, 4, 8, 10]
        mine.accepted()
        assert await mine.refused("soon") == 1

    run(scenario)


def test_our_own_limit_leaves_room_for_cancels(tmp_path: Path) -> None:
    async def scenario() -> None:
        mine = throttle(tmp_path)
        await mine.request(20, urgent=False)
        with pytest.raises(NotSentError, match="request weight"):
            await mine.request(1, urgent=False)
        await mine.request(1, urgent=True)
        assert mine.used_weight == 21
        mine.hear({"X-MBX-USED-WEIGHT-1M": "500", "X-MBX-ORDER-COUNT-10S": "no number"})
        assert mine.used_weight == 500

    run(scenario)


def test_scenario_L_04_orders_wait_in_a_bounded_queue(tmp_path: Path) -> None:
    async def scenario() -> None:
        mine = throttle(tmp_path)
        begun: list[int] = []

        async def order(number: int) -> None:
            async with mine.turn():
                begun.append(number)
                await asyncio.sleep(60)

        orders = [asyncio.create_task(order(number)) for number in range(5)]
        await asyncio.sleep(0.01)
        assert (mine.waiting, mine.full()) == (3, True)
        assert begun == [0, 1]
        orders[0].cancel()  # it never went out, so its room is the next one's
        await asyncio.sleep(0.1)
        assert begun == [0, 1, 2]
        mine.message(places=True)
        orders[1].cancel()  # it did go out
        await asyncio.sleep(0.1)
        assert begun == [0, 1, 2]
        for task in orders:
            task.cancel()
        await asyncio.gather(*orders, return_exceptions=True)
        assert (mine.waiting, mine.full()) == (0, False)

    run(scenario)


def test_orders_and_cancels_have_a_rate(tmp_path: Path) -> None:
    mine = throttle(tmp_path)
    assert not mine.chatty()
    mine.message(places=False)
    mine.message(places=True)
    assert mine.chatty()
