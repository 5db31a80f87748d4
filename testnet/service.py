"""Common to all services: read the configuration, log to stdout, write the pid file, stop on SIGTERM."""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import TypeVar

import msgspec
from aiohttp import web
from prometheus_client import CollectorRegistry, disable_created_metrics, generate_latest

log = logging.getLogger("stormdesk.testnet")

CANCEL_S = 0.5  # between two tries

Config = TypeVar("Config", bound=msgspec.Struct)


def start(kind: type[Config], run: Callable[[Config, asyncio.Event], Awaitable[None]]) -> None:
    """Run a service until SIGTERM or SIGINT: `run(config, stop)` ends soon after `stop` is set.

    Exits with status 1 and one line when the configuration cannot be read.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", required=True, type=Path)
    path = parser.parse_args().config
    try:
        config = msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.DecodeError) as error:
        raise SystemExit(f"{path}: not a configuration of this service: {error}") from error
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
    disable_created_metrics()  # type: ignore[no-untyped-call]
    asyncio.run(_until_stopped(config, run))


def code() -> str:
    """12 hex digits that identify the installed code: services with the same digits are the same version. Call it once, at the
    start: code that is changed on the disk later does not run."""
    digest = hashlib.sha256()
    root = Path(__file__).parent
    for path in sorted(root.rglob("*.py")):
        digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]


async def _until_stopped(config: Config, run: Callable[[Config, asyncio.Event], Awaitable[None]]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await run(config, stop)


def write_pidfile(path: Path) -> None:
    """Write our pid; readers see the old file or the complete new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_text(f"{os.getpid()}\n")
    fresh.replace(path)


async def serve(app: web.Application, listen: str) -> web.AppRunner:
    """Answer HTTP on `host:port` until the returned runner is cleaned up. Raises OSError when the port is taken."""
    host, _, port = listen.rpartition(":")
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, host.strip("[]"), int(port), reuse_address=True).start()
    return runner


def metrics_handler(registry: CollectorRegistry) -> Callable[[web.Request], Awaitable[web.Response]]:
    """A handler that returns the registry's metrics in Prometheus' text format."""

    async def handler(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": "text/plain; version=0.0.4"})

    return handler


def json_response(document: object, status: int = 200) -> web.Response:
    """A JSON answer."""
    return web.Response(body=msgspec.json.encode(document), status=status, content_type="application/json")


async def every(stop: asyncio.Event, interval_s: float) -> bool:
    """Wait `interval_s` seconds or until `stop`; True while the service should go on."""
    try:
        async with asyncio.timeout(interval_s):
            await stop.wait()
    except TimeoutError:
        return True
    return False


async def until(
    stop: asyncio.Event, *loops: Coroutine[object, object, None], finish: Callable[[], Awaitable[None]] | None = None
) -> None:
    """Run loops until `stop`, then `finish` while they still run, then cancel them. A loop that fails ends the service.

    A loop is cancelled repeatedly until it has ended: asyncio.wait_for of Python 3.11, which clients use internally, loses a
    cancellation that arrives just when its own wait ends.
    """
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(loop) for loop in loops]
        await stop.wait()
        if finish is not None:
            await finish()
        while pending := [task for task in tasks if not task.done()]:
            for task in pending:
                task.cancel()
            await asyncio.wait(pending, timeout=CANCEL_S)
