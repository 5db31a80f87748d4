"""The bus that carries market data inside the firm: one small interface, Redis Streams behind it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class BusError(Exception):
    """The bus did not answer; the message says why. Nothing may be assumed about what was published."""


class Bus(Protocol):
    """An ordered, bounded log of messages."""

    async def publish(self, messages: Sequence[bytes]) -> None:
        """Append messages in order. Raises BusError."""

    async def read(self, wait_s: float) -> list[bytes]:
        """What was published since the last call, waiting up to `wait_s` seconds for the first; the first call starts
        at now. Empty when nothing came. Raises BusError."""

    async def close(self) -> None:
        """Let go of the connection."""
