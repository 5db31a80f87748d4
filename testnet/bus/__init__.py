"""The bus for market data inside the firm: one small interface to Redis Streams or Kafka.

A message is an envelope (docs/formats/market-data.md). `consumer` is the reader's side: order and effects.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, NamedTuple, Protocol
from urllib.parse import urlsplit

import msgspec

Url = Annotated[str, msgspec.Meta(pattern=r"^(redis|kafka)://[^/]+:\d+(/\d*)?$")]


class BusError(Exception):
    """The bus did not answer; the message says why. It is unknown what was published."""


class Message(NamedTuple):
    """An envelope and its key; order is kept per key. An envelope has no line break."""

    key: str
    value: bytes


class Bus(Protocol):
    """A bounded log of messages, ordered by key."""

    async def publish(self, messages: Sequence[Message]) -> None:
        """Append messages in order; when this returns, the bus has them. Raises BusError; then some of them may be on the bus."""

    async def read(self, wait_s: float) -> list[bytes]:
        """The messages since the last call, waiting up to `wait_s` seconds for one; the first call starts at the present.
        Empty when there are none. Raises BusError."""

    async def lag(self) -> int:
        """How much is published and unread, in units of the bus. Raises BusError."""

    async def close(self) -> None:
        """Close the connection."""


def connect(url: str, stream: str, delivery_timeout_s: float = 10.0) -> Bus:
    """The bus at `redis://host:port/db` or `kafka://host:port`; it connects with its first call.

    `delivery_timeout_s`: how long Kafka's producer retries a publish. Redis gets one try.
    """
    if url.startswith("kafka:"):
        from stormdesk.testnet.bus.kafka import KafkaBus

        return KafkaBus(urlsplit(url).netloc, stream, delivery_timeout_s)
    from stormdesk.testnet.bus.redis_streams import RedisBus

    return RedisBus(url, stream)
