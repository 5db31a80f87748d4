"""The guard's probes. Each has a deadline, and none raises: no answer is a result."""

from __future__ import annotations

import asyncio
import contextlib
import struct
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import msgspec
import psycopg
from redis.exceptions import RedisError

from stormdesk.testnet import silence
from stormdesk.testnet.guard.config import Config
from stormdesk.testnet.guard.health import Document, Findings, Latencies
from stormdesk.testnet.guard.supervisor import Manager, Process, SupervisorError
from stormdesk.testnet.redis_link import connect
from stormdesk.testnet.resilience import Resilience
from stormdesk.testnet.watch import name_of

Failures = (aiohttp.ClientError, OSError, TimeoutError, RedisError, psycopg.Error, msgspec.DecodeError)
API_VERSIONS = struct.pack(">ihhih", 10, 18, 0, 1, -1)  # length, request type, version, correlation id, no client name
REST_S = 1.0  # between two probes of the venue


class Probes:
    """Probes the service, its supervisor, the venue, Redis and PostgreSQL."""

    def __init__(self, config: Config, numbers: Resilience, session: aiohttp.ClientSession, boss: Manager) -> None:
        self._config = config
        self._deadline_s = numbers.guard.probe_s
        self._slow_ms = numbers.degraded.rest_ms
        self._session = session
        self._boss = boss
        self._redis: Any = connect(config.redis)
        # The window is half an interval, so that a slow venue is forgotten within one check of its end.
        self._rest_took = Latencies(numbers.health.interval_s / 2)
        self._rest_error = "not asked yet"
        self._unwanted_until_t = 0.0
        self._answered = 0  # the last process that answered

    async def close(self) -> None:
        await self._redis.aclose()

    async def follow_venue(self) -> None:
        """Probe the venue every second until cancelled, except while it wants no requests from this address."""
        while True:
            began = time.monotonic()
            if time.time() < max(self._unwanted_until_t, self._service_waits_until_t()):
                await asyncio.sleep(REST_S)
                continue
            self._rest_error = (await self._timed(self._ping)).get("error", "")
            self._rest_took.add(time.monotonic(), time.monotonic() - began)
            await asyncio.sleep(max(0.0, REST_S - (time.monotonic() - began)))

    async def look(self) -> Findings:
        """Run all probes in parallel."""
        asked = {"Redis": self._timed(self._redis.ping)}
        if self._config.bus.startswith("kafka:"):
            asked["Kafka"] = self._timed(self._versions)
        if self._config.postgres:
            asked["Postgres"] = self._timed(self._select)
        process, (page, error, took_ms), *views = await asyncio.gather(self._process(), self._page(), *asked.values())
        parts = dict(zip(asked, views, strict=True))
        if page is not None:
            self._answered = process.pid
        return Findings(
            process=process.state, page=page, page_error=error, page_ms=took_ms, beat_age_s=self._beat_age(),
            starting_s=process.uptime_s if process.pid and process.pid != self._answered else None,
            components={"REST_API": self._rest(), **parts},
        )  # fmt: skip

    async def leader(self) -> str | None:
        """The instance that holds the leader's lock; "" for none, None when Redis does not answer."""
        with contextlib.suppress(*Failures):
            async with asyncio.timeout(self._deadline_s):
                value = await self._redis.get(self._config.leader_key)
                return (value or b"").decode().rpartition(":")[0]
        return None

    # -- one by one ----------------------------------------------------------------------------------------------

    def _rest(self) -> Document:
        p95 = self._rest_took.share_ms(0.95)
        error = self._rest_error or (f"slow: p95 {p95:.0f} ms" if p95 > self._slow_ms else "")
        times = {"latency_ms": self._rest_took.share_ms(1.0), "p50": self._rest_took.share_ms(0.5), "p95": p95}
        return {"ok": not error, **times} | ({"error": error} if error else {})

    async def _ping(self) -> None:
        limit = aiohttp.ClientTimeout(total=self._deadline_s)
        async with self._session.get(f"{self._config.venue_rest}/api/v3/ping", timeout=limit) as answer:
            if answer.status in (418, 429):
                wait_s = silence.asked_s(answer.headers.get("Retry-After", ""))
                wait_s = REST_S if wait_s is None else wait_s
                self._unwanted_until_t = time.time() + wait_s
                silence.told(Path(self._config.data_dir), wait_s)
            if answer.status >= 500:
                raise aiohttp.ClientError(f"HTTP {answer.status}")

    def _service_waits_until_t(self) -> float:
        """A pause that the venue demands of this host's service applies to us too."""
        return silence.until_t(Path(self._config.heartbeat).parent)

    async def _versions(self) -> None:
        """Ask the broker for its supported requests; brokers answer that to any client."""
        at = urlsplit(self._config.bus)
        reader, writer = await asyncio.open_connection(at.hostname, at.port)
        try:
            writer.write(API_VERSIONS)
            await reader.readexactly(8)  # its length, and our correlation id
        except asyncio.IncompleteReadError as error:
            raise ConnectionResetError("Kafka hung up") from error
        finally:
            writer.close()

    async def _select(self) -> None:
        link = await psycopg.AsyncConnection.connect(self._config.postgres, autocommit=True)
        async with link:
            await link.execute("select 1")

    async def _process(self) -> Process:
        try:
            return await self._boss.process(self._config.service)
        except SupervisorError:
            return Process()

    async def _page(self) -> tuple[dict[str, Any] | None, str, float]:
        began = time.monotonic()
        limit = aiohttp.ClientTimeout(total=self._deadline_s)
        try:
            async with self._session.get(f"{self._config.url}/health", timeout=limit) as answer:
                page = msgspec.json.decode(await answer.read(), type=dict[str, Any])
        except Failures as error:
            return None, name_of(error), _ms_since(began)
        return page, "", _ms_since(began)

    def _beat_age(self) -> float | None:
        try:
            return round(max(0.0, time.time() - Path(self._config.heartbeat).stat().st_mtime), 3)
        except OSError:
            return None

    async def _timed(self, ask: Callable[[], Awaitable[object]]) -> Document:
        began = time.monotonic()
        error = ""
        try:
            async with asyncio.timeout(self._deadline_s):
                await ask()
        except Failures as failure:
            error = name_of(failure.__cause__ if isinstance(failure, RedisError) and failure.__cause__ else failure)
        return {"ok": not error, "latency_ms": _ms_since(began)} | ({"error": error} if error else {})


def _ms_since(began: float) -> float:
    return round((time.monotonic() - began) * 1000, 1)
