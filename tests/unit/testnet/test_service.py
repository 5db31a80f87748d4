"""What all services do the same way."""

from __future__ import annotations

import asyncio

from stormdesk.testnet.service import until


def test_a_loop_that_lost_a_cancellation_is_cancelled_again() -> None:
    """As asyncio.wait_for of Python 3.11 does when its own wait is over in the same moment."""
    lost: list[str] = []

    async def loop() -> None:
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                if lost:
                    raise
                lost.append("once")

    async def run() -> None:
        stop = asyncio.Event()
        asyncio.get_running_loop().call_later(0.05, stop.set)
        async with asyncio.timeout(20):
            await until(stop, loop(), loop())

    asyncio.run(run())
    assert lost == ["once"]
