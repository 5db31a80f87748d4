"""Behaviour common to all services."""

from __future__ import annotations

import ast
import asyncio
from pathlib import Path

import stormdesk.testnet
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


def blocking_waits(source: str) -> list[int]:
    """Lines that wait outside the event loop: it would stand still, and time.sleep fails under libfaketime."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if (isinstance(node, ast.Attribute) and ast.unparse(node) == "time.sleep")
        or (isinstance(node, ast.ImportFrom) and node.module == "time" and "sleep" in {n.name for n in node.names})
    ]


def test_services_wait_on_the_event_loop_only() -> None:
    paths = list(Path(stormdesk.testnet.__file__).resolve().parent.rglob("*.py"))
    assert len(paths) > 40
    assert {str(path): lines for path in paths if (lines := blocking_waits(path.read_text()))} == {}
    assert blocking_waits("import time\ntime.sleep(1)\n") == [2]
    assert blocking_waits("from time import sleep\n") == [1]
