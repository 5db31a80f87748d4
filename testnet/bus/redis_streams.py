"""The bus on Redis Streams (Redis 7). One entry holds many messages, one per line, because entries are more expensive than lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from redis.exceptions import RedisError, ResponseError

from stormdesk.testnet.bus import BusError, Message
from stormdesk.testnet.redis_link import connect

ENTRY_BYTES = 16_384
KEEP = 4_000  # entries, approximately (Redis trims whole nodes): at most 64 MiB
READ = 200  # entries at once


class RedisBus:
    """One stream on one Redis server. `url` is redis://host:port/db."""

    def __init__(self, url: str, stream: str) -> None:
        self._redis = connect(url)
        self._stream = stream
        self._last: bytes | None = None
        self._read = 0  # entries of the stream up to `_last`, as Redis counts them

    async def publish(self, messages: Sequence[Message]) -> None:
        """Append messages in one round trip, all or none; otherwise those after a refused one would be out of order."""
        try:
            async with self._redis.pipeline(transaction=True) as pipe:
                for entry in _entries(message.value for message in messages):
                    pipe.xadd(self._stream, {"m": entry}, maxlen=KEEP, approximate=True)
                await pipe.execute()
        except (RedisError, OSError) as error:
            raise BusError(f"Redis: {error}") from error

    async def read(self, wait_s: float) -> list[bytes]:
        """Messages since the last call."""
        try:
            if self._last is None:
                self._last, self._read = await self._newest()
            asked: dict[Any, Any] = {self._stream: self._last}
            found: Any = await self._redis.xread(asked, count=READ, block=int(wait_s * 1000))
        except (RedisError, OSError) as error:
            raise BusError(f"Redis: {error}") from error
        entries = [entry for _, batch in _pairs(found) for entry in batch]
        if entries:
            self._last, self._read = entries[-1][0], self._read + len(entries)
        return [line for _, fields in entries for line in fields.get(b"m", b"").split(b"\n")]

    async def lag(self) -> int:
        """The number of unread entries. A stream that is behind our position was lost with its server; start again with it."""
        try:
            newest, added = await self._newest()
        except (RedisError, OSError) as error:
            raise BusError(f"Redis: {error}") from error
        if self._last is None or newest == self._last:
            self._read = added
        elif _id(newest) < _id(self._last):
            self._last, self._read = b"0-0", 0
        return max(added - self._read, 0)

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    async def _newest(self) -> tuple[bytes, int]:
        """The id of the last entry ever added, so that nothing is lost between two reads, and the number of entries ever added."""
        try:
            info: Any = await self._redis.xinfo_stream(self._stream)
        except ResponseError:  # the stream does not exist yet
            return b"0-0", 0
        return info["last-generated-id"], info["entries-added"]


def _entries(values: Iterable[bytes]) -> Iterator[bytes]:
    """Lines joined to entries of about ENTRY_BYTES."""
    lines: list[bytes] = []
    size = 0
    for value in values:
        lines.append(value)
        size += len(value)
        if size >= ENTRY_BYTES:
            yield b"\n".join(lines)
            lines, size = [], 0
    if lines:
        yield b"\n".join(lines)


def _id(entry: bytes) -> tuple[int, int]:
    milliseconds, _, number = entry.partition(b"-")
    return int(milliseconds), int(number)


def _pairs(found: Any) -> Any:
    return found.items() if isinstance(found, dict) else found or []
