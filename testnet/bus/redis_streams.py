"""The bus on Redis Streams."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from redis.exceptions import RedisError

from stormdesk.testnet.bus import BusError
from stormdesk.testnet.redis_link import connect

KEEP = 20_000  # messages, about; Redis cuts whole nodes


class RedisBus:
    """One stream on one Redis server. `url` is redis://host:port/db."""

    def __init__(self, url: str, stream: str) -> None:
        self._redis = connect(url)
        self._stream = stream
        self._last: str | bytes = "$"

    async def publish(self, messages: Sequence[bytes]) -> None:
        """Append messages in one round trip."""
        try:
            async with self._redis.pipeline(transaction=False) as pipe:
                for message in messages:
                    pipe.xadd(self._stream, {"m": message}, maxlen=KEEP, approximate=True)
                await pipe.execute()
        except (RedisError, OSError) as error:
            raise BusError(f"Redis: {error}") from error

    async def read(self, wait_s: float) -> list[bytes]:
        """Messages since the last call."""
        try:
            if self._last == "$":
                self._last = await self._newest()
            found: Any = await self._redis.xread({self._stream: self._last}, count=1000, block=int(wait_s * 1000))
        except (RedisError, OSError) as error:
            raise BusError(f"Redis: {error}") from error
        entries = [entry for _, batch in _pairs(found) for entry in batch]
        if entries:
            self._last = entries[-1][0]
        return [fields[b"m"] for _, fields in entries]

    async def close(self) -> None:
        """Let go of the connections."""
        await self._redis.aclose()

    async def _newest(self) -> str | bytes:
        """The id to start after, so that nothing is lost between two reads; "0" in an empty stream."""
        latest: Any = await self._redis.xrevrange(self._stream, count=1)
        return latest[0][0] if latest else "0"


def _pairs(found: Any) -> Any:
    return found.items() if isinstance(found, dict) else found or []
