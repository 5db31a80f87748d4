"""The bus on a real Redis whose disk is full at times: batches are refused as a whole, so that the order is kept."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from stormdesk.testnet.bus import BusError, Message
from stormdesk.testnet.bus.redis_streams import RedisBus
from tests.e2e.stack_disk import Disk
from tests.e2e.stack_harness import ROOT, answers, eventually, free_port, home_for_nobody, program

pytestmark = pytest.mark.skipif(not ROOT, reason="a disk for one process needs root")
BATCHES, MESSAGES, BYTES = 60, 800, 1_000


@pytest.fixture
def home() -> Iterator[Path]:
    with home_for_nobody() as home:
        yield home


async def flicker(disk: Disk, until: asyncio.Event) -> None:
    """The disk is full for a moment, again and again."""
    while not until.is_set():
        await asyncio.to_thread(disk.fill)
        await asyncio.sleep(0.03)
        await asyncio.to_thread(disk.free)
        await asyncio.sleep(0.03)


async def publish(bus: RedisBus) -> int:
    """Batch after batch as the feeder does: a batch that is refused is published again. How often one was."""
    refused = number = 0
    for _ in range(BATCHES):
        values = [json.dumps({"n": number + i, "data": "x" * BYTES}).encode() for i in range(MESSAGES)]
        number += MESSAGES
        while True:
            try:
                await bus.publish([Message("BTCUSDT", value) for value in values])
                break
            except BusError:
                refused += 1
                await asyncio.sleep(0.01)
    return refused


async def flickering(url: str, disk: Disk) -> int:
    bus, over = RedisBus(url, "md"), asyncio.Event()
    flickers = asyncio.create_task(flicker(disk, over))
    refused = await publish(bus)
    over.set()
    await flickers
    await bus.close()
    return refused


def numbers_on(port: int) -> list[int]:
    """What lies on the bus, in its order."""
    with Redis(port=port, protocol=2) as client:
        lines = [line for _, fields in client.xrange("md") for line in fields[b"m"].split(b"\n")]
    return [json.loads(line)["n"] for line in lines]


def test_what_a_full_disk_refuses_is_refused_as_a_whole(home: Path) -> None:
    disk, port = Disk(home, 128), free_port()
    argv = program("/usr/bin/redis-server", home / "layer-redis")
    words = [
        "--port",
        str(port),
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--appendonly",
        "yes",
        "--dir",
        str(disk.mounted),
    ]
    server = subprocess.Popen([*disk.wrap, *argv, *words], stdout=subprocess.DEVNULL)
    try:
        eventually("redis", lambda: answers(port))
        refused = asyncio.run(flickering(f"redis://127.0.0.1:{port}/0", disk))
        numbers = numbers_on(port)
    finally:
        server.kill()
        server.wait()
        disk.close()
    print(f"{refused} of {BATCHES + refused} batches refused, {len(numbers)} messages on the bus")
    assert refused > 0
    assert numbers == list(range(BATCHES * MESSAGES))
