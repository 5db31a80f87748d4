"""The guard probes the venue every second from the trader's address: when that address must wait, the guard waits too."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import msgspec
import pytest

from stormdesk.testnet import resilience, silence
from stormdesk.testnet.guard.config import Config
from stormdesk.testnet.guard.probes import Probes
from stormdesk.testnet.guard.supervisor import Supervisor
from tests.e2e.venue_harness import VenueProcess

SPAN_S = 3.5  # in which it would ask three or four times


@pytest.fixture
def venue(tmp_path: Path) -> Iterator[VenueProcess]:
    venue = VenueProcess(tmp_path)
    yield venue
    venue.down()


def follow(venue: VenueProcess, trader: Path) -> None:
    """A guard of a trader whose files are in that folder asks the venue for a while."""
    common = {"listen": "", "data_dir": "", "pidfile": "", "instance": "", "component": "", "url": "", "symbols": []}
    rest = {"venue_rest": f"http://127.0.0.1:{venue.port}", "redis": "redis://127.0.0.1:1/0", "supervisor": "/none"}
    heartbeat = str(trader / "trader.heartbeat.json")
    config = msgspec.convert({**common, **rest, "service": "trader", "heartbeat": heartbeat}, Config)

    async def run() -> None:
        async with aiohttp.ClientSession() as session, Supervisor(config.supervisor) as boss:
            probes = Probes(config, resilience.load({}), session, boss)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SPAN_S):
                    await probes.follow_venue()
            await probes.close()

    asyncio.run(run())


def test_scenario_K_04_a_guard_that_is_told_to_wait_waits(venue: VenueProcess, tmp_path: Path) -> None:
    with venue.under("rate-limit", share="100", retry_after="60s"):
        follow(venue, tmp_path)
    assert len(venue.journal("THROTTLED")) == 1
    assert venue.journal("EARLY") == []


def test_scenario_K_04_a_guard_waits_for_what_its_trader_was_told(venue: VenueProcess, tmp_path: Path) -> None:
    wait = tmp_path / silence.FILE
    wait.parent.mkdir()
    wait.write_text(f'{{"until_t": {time.time() + 60}}}')
    id_ = venue.begin("rate-limit", share="100")
    follow(venue, tmp_path)
    assert venue.end(id_)["hits"] == 0
    wait.write_text(f'{{"until_t": {time.time() - 1}}}')
    with venue.under("rate-limit", share="100"):
        follow(venue, tmp_path)
