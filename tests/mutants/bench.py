"""Stacks from a copy of the sources, one after the other on the same Redis and PostgreSQL; each starts with empty ones."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from redis import Redis

from tests.e2e.stack_harness import Stack, home_for_nobody

SERVERS = ("redis", "postgres")


class Bench(Stack):
    """A stack whose services run from the sources at `root`; its servers are those of `servers`."""

    def __init__(self, home: Path, servers: Stack, root: Path) -> None:
        super().__init__(home)
        self.servers = servers
        self.root = root
        self.port |= {name: servers.port[name] for name in SERVERS}
        self.bus = servers.bus
        self.trader_config = {"orders_per_s": 10.0}

    def up(self, *, standby: bool = False) -> None:
        """Empty servers, then the services, until the leader's first order is accepted."""
        with Redis(port=self.port["redis"]) as redis:
            redis.flushall()
        self.sql("drop database if exists trading with (force)", database="postgres")
        self.sql("create database trading", database="postgres")
        for name in ("venue", "feeder", "trader-a", *(["trader-b"] if standby else [])):
            self.start(name)
        self.trading(deadline_s=120)

    def _spawn(self, name: str, argv: list[str], cwd: Path | None = None) -> None:
        super()._spawn(name, ["env", f"PYTHONPATH={self.root}", *argv], self.root)


@contextmanager
def servers() -> Iterator[Stack]:
    """A Redis and a PostgreSQL."""
    with home_for_nobody() as home:
        stack = Stack(home)
        try:
            stack.redis()
            stack.postgres()
            yield stack
        finally:
            stack.down()


@contextmanager
def bench(servers: Stack, root: Path) -> Iterator[Bench]:
    """A stack that is not up yet. What it leaves running is ended."""
    with home_for_nobody() as home:
        stack = Bench(home, servers, root)
        try:
            yield stack
        finally:
            for name in SERVERS:
                if name in servers.processes:
                    servers.processes[name].send_signal(signal.SIGCONT)
                else:
                    getattr(servers, name)()
            stack.down()
