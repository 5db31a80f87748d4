"""The bus that carries market data inside the firm: one small interface, Redis Streams or Kafka behind it.

A message is an envelope (docs/formats/market-data.md). `consumer` is the reader's side of the bargain: order and effects.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, NamedTuple, Protocol
from urllib.parse import urlsplit

import msgspec

Url = Annotated[str, msgspec.Meta(pattern=r"^(redis|kafka)://[^/]+:\d+(/\d*)?$")]


class BusError(Exception):
    """The bus did not answer; the message says why. Nothing may be assumed about what was published."""


class Message(NamedTuple):
    """An envelope and the key whose order it belongs to. An envelope has no line break."""

    key: str
    value: bytes


class Bus(Protocol):
    """A bounded log of messages, ordered by key."""

    async def publish(self, messages: Sequence[Message]) -> None:
        """Append messages in order; when this returns, the bus has them. Raises BusError: then any of them may be there."""

    async def read(self, wait_s: float) -> list[bytes]:
        """What was published since the last call, waiting up to `wait_s` seconds for the first; the first call starts
        at now. Empty when nothing came. Raises BusError."""

    async def lag(self) -> int:
        """How much is published and not yet read, in units of the bus. Raises BusError."""

    async def close(self) -> None:
        """Let go of the connection."""


def connect(url: str, stream: str, delivery_timeout_s: float = 10.0) -> Bus:
    """The bus at `redis://host:port/db` or `kafka://host:port`; it connects with its first call.

    `delivery_timeout_s`: how long Kafka's producer tries until a publish is given up. Redis gets one try.
    """
    if url.startswith("kafka:"):
        from stormdesk.testnet.bus.kafka import KafkaBus

        return KafkaBus(urlsplit(url).netloc, stream, delivery_timeout_s)
    from stormdesk.testnet.bus.redis_streams import RedisBus

    return RedisBus(url, stream)
