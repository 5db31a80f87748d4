"""The leader's lock on a real Redis: one holder, for a limited time, and inherited only from the instance's own dead process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from stormdesk import durable
from stormdesk.testnet.redis_link import connect
from stormdesk.testnet.resilience import Leader as Numbers
from stormdesk.testnet.trader.leader import REMEMBER, Leader
from tests.e2e.stack_harness import Stack, home_for_nobody

NUMBERS = Numbers(ttl_s=30, renew_s=10)


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with home_for_nobody() as home:
        stack = Stack(home)
        stack.redis()
        yield stack
        stack.down()


def run(stack: Stack, scenario: Callable[[Redis], Awaitable[None]]) -> None:
    async def whole() -> None:
        redis = connect(f"redis://127.0.0.1:{stack.port['redis']}/0")
        await redis.flushall()
        async with asyncio.timeout(30):
            await scenario(redis)
        await redis.aclose()

    asyncio.run(whole())


def leader(redis: Redis, file: Path, instance: str = "trader-a", numbers: Numbers = NUMBERS) -> Leader:
    return Leader(redis, "lock", instance, numbers, file, former_self_dead=True)


def test_one_holds_and_the_next_has_it_when_it_is_released(stack: Stack, tmp_path: Path) -> None:
    async def scenario(redis: Redis) -> None:
        a, b = leader(redis, tmp_path / "a"), leader(redis, tmp_path / "b", "trader-b")
        await a.turn(contend=True)
        await b.turn(contend=True)
        assert a.holds()
        assert not b.holds()
        assert b.holder.startswith("trader-a:")
        assert 29_000 < await redis.pttl("lock") <= 30_000
        await a.release()
        assert not a.holds()
        await b.turn(contend=True)
        assert b.holds()
        await a.turn(contend=True)
        assert not a.holds()
        assert (a.term, b.term) == (1, 1)

    run(stack, scenario)


def test_the_lease_ends_before_the_lock_and_a_margin_ends_it_sooner(stack: Stack, tmp_path: Path) -> None:
    async def scenario(redis: Redis) -> None:
        short = leader(redis, tmp_path / "a", numbers=Numbers(ttl_s=1.0, renew_s=0.4))
        await short.turn(contend=True)
        assert short.holds(0.5)
        assert not short.holds(0.95)
        while short.holds():
            await asyncio.sleep(0.01)
        assert await redis.get("lock"), "it held as long as the lock itself"

    run(stack, scenario)


def test_without_an_answer_nothing_is_held(stack: Stack, tmp_path: Path) -> None:
    async def scenario(redis: Redis) -> None:
        a = leader(redis, tmp_path / "a")
        await a.turn(contend=True)
        stack.kill("redis")
        await a.turn(contend=True)
        assert not a.holds()
        assert not a.lost(), "nobody knows"
        assert not a.watch.ok
        stack.redis()
        await a.turn(contend=True)
        assert a.lost(), "Redis is empty"
        await a.turn(contend=True)
        assert a.holds()
        assert a.term == 2

    run(stack, scenario)


def test_scenario_H_12_a_dead_selfs_lock_is_taken_over_and_a_copys_is_not(stack: Stack, tmp_path: Path) -> None:
    async def scenario(redis: Redis) -> None:
        await leader(redis, tmp_path / "a").turn(contend=True)
        for _ in range(REMEMBER - 2):  # starts that end before they have the lock
            leader(redis, tmp_path / "a")
        copy = leader(redis, tmp_path / "elsewhere")
        await copy.turn(contend=True)
        assert not copy.holds()
        again = leader(redis, tmp_path / "a")
        began = time.monotonic()
        await again.turn(contend=True)
        assert again.holds()
        assert time.monotonic() - began < NUMBERS.ttl_s / 2

    run(stack, scenario)


def test_a_fenced_leader_leaves_the_lock_to_others_for_a_while(stack: Stack, tmp_path: Path) -> None:
    async def scenario(redis: Redis) -> None:
        a = leader(redis, tmp_path / "a", numbers=Numbers(ttl_s=1.0, renew_s=0.4))
        await a.turn(contend=True)
        began = time.monotonic()
        await a.stand_back()
        assert a.lost()
        assert await redis.get("lock") is None
        while not a.holds():
            await a.turn(contend=True)
            await asyncio.sleep(0.02)
        assert time.monotonic() - began >= 1.0

    run(stack, scenario)


@pytest.mark.parametrize("content", [b"", b"[1]", b'"one"', b"\xff"])
def test_a_corrupt_lock_file_costs_the_inheritance_and_no_more(stack: Stack, tmp_path: Path, content: bytes) -> None:
    async def scenario(redis: Redis) -> None:
        (tmp_path / "a").write_bytes(content)
        a = leader(redis, tmp_path / "a")
        await a.turn(contend=True)
        assert a.holds()
        assert len(durable.read_json(tmp_path / "a", list[str]) or []) == 1

    run(stack, scenario)
