"""python -m stormdesk.testnet.prober --config FILE

Writes `metrics.jsonl`, one line per target and round:
`{"t", "target", "up": 0 or 1, "took_s", "metrics": {sample: value}}`, with `error` when the target was not up.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial
from pathlib import Path

import aiohttp
import msgspec
from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Gauge

from stormdesk.testnet.prober.samples import parse
from stormdesk.testnet.resilience import Configured
from stormdesk.testnet.service import every, log, metrics_handler, serve, start, write_pidfile

TIMEOUT_S = 0.9  # shorter than an interval: a silent target must not delay the others
ROTATE_BYTES = 8 << 20  # then the file becomes metrics.jsonl.1 and the one before that goes


class Config(Configured, frozen=True, forbid_unknown_fields=True):
    """docs/formats/service-config.md. `targets` are URLs by name."""

    listen: str
    data_dir: str
    pidfile: str
    targets: dict[str, str]
    interval_s: float = 1.0


class Prober:
    """Queries all targets in parallel, so that a silent one does not delay the others."""

    def __init__(self, config: Config, session: aiohttp.ClientSession) -> None:
        self.registry = CollectorRegistry()
        self._config = config
        self._session = session
        self._path = Path(config.data_dir) / "metrics.jsonl"
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._up = Gauge("up", "1 when the target answered.", ["target"], registry=self.registry)
        self._took = Gauge("scrape_duration_seconds", "Of the last turn.", ["target"], registry=self.registry)
        self._heard = dict.fromkeys(config.targets, time.monotonic())
        age = Gauge("target_heartbeat_age_seconds", "Since its loop last turned.", ["target"], registry=self.registry)
        for name in config.targets:
            age.labels(name).set_function(partial(self._age_s, name))
        self._lost = Counter("prober_lost_lines", "Lines that could not be written.", registry=self.registry)

    async def turn(self) -> None:
        """Query every target once and store the answers."""
        lines = await asyncio.gather(*(self._ask(name, url) for name, url in self._config.targets.items()))
        try:
            self._keep(b"".join(lines))
        except OSError as error:
            self._lost.inc(len(lines))
            log.warning("prober: %s", error)

    async def _ask(self, name: str, url: str) -> bytes:
        line: dict[str, object] = {"t": time.time(), "target": name, "up": 0}
        started = time.monotonic()
        try:
            async with self._session.get(url, timeout=aiohttp.ClientTimeout(total=TIMEOUT_S)) as response:
                response.raise_for_status()
                metrics = parse(await response.text())
                line["metrics"] = metrics
                line["up"] = 1
                self._heard[name] = time.monotonic() - metrics.get("guard_heartbeat_age_seconds", 0.0)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            line["error"] = str(error) or type(error).__name__
        line["took_s"] = round(time.monotonic() - started, 4)
        self._up.labels(name).set(1 if line["up"] else 0)
        self._took.labels(name).set(time.monotonic() - started)
        return msgspec.json.encode(line) + b"\n"

    def _age_s(self, name: str) -> float:
        """The heartbeat's age as seen from outside: it grows when the target does not answer, and when a guard answers but hangs."""
        return time.monotonic() - self._heard[name]

    def _keep(self, data: bytes) -> None:
        with self._path.open("ab") as out:
            out.write(data)
            size = out.tell()
        if size > ROTATE_BYTES:
            self._path.replace(self._path.with_suffix(".jsonl.1"))


async def run(config: Config, stop: asyncio.Event) -> None:
    async with aiohttp.ClientSession() as session:
        prober = Prober(config, session)
        app = web.Application()
        app.add_routes([web.get("/metrics", metrics_handler(prober.registry))])
        runner = await serve(app, config.listen)
        write_pidfile(Path(config.pidfile))
        log.info("prober: %d targets", len(config.targets))
        while await every(stop, config.interval_s):
            await prober.turn()
        await runner.cleanup()


if __name__ == "__main__":
    start(Config, run)
