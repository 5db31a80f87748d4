"""Redis clients of our services: short deadlines, no hidden retries, no connection that long outlives a network cut."""

from __future__ import annotations

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

ANSWER_S = 3.0  # longer than any blocking read
CONNECT_S = 2.0


def connect(url: str) -> Redis:
    """A client of the server at redis://host:port/db. It connects with its first command."""
    return Redis.from_url(
        url, socket_timeout=ANSWER_S, socket_connect_timeout=CONNECT_S, retry=Retry(NoBackoff(), 0), protocol=2
    )
