"""Messages that wait for the bus: bounded, in order, numbered. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from stormdesk.testnet.bus import Message
from stormdesk.testnet.feeder.messages import Item

BATCH = 1_000  # messages that are published at once


class Outbox:
    """A bounded queue. When it is full, a new message pushes out the oldest, which is counted and returned.

    `run` is this start of the feeder (it only grows), and each key's messages are numbered 1, 2, 3... in it.
    """

    def __init__(self, run: int, limit: int) -> None:
        self.overflow = 0
        self._run = run
        self._limit = limit
        self._waiting: deque[tuple[Item, Message]] = deque()
        self._batch: list[tuple[Item, Message]] = []
        self._numbers: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._waiting) + len(self._batch)

    def put(self, item: Item, now: float) -> Item | None:
        """Number a message and queue it; returns the message that was pushed out, if any."""
        number = self._numbers[item.symbol] = self._numbers.get(item.symbol, 0) + 1
        envelope = b'{"id":"%b","key":"%b","run":%d,"n":%d,"stream":"%b","t":%.6f,"data":%b}' % (
            item.id.encode(), item.symbol.encode(), self._run, number, item.stream.encode(), now, item.data,
        )  # fmt: skip
        self._waiting.append((item, Message(item.symbol, envelope)))
        if len(self._waiting) <= self._limit:
            return None
        self.overflow += 1
        return self._waiting.popleft()[0]

    def batch(self) -> Sequence[Message]:
        """The next batch to publish: the same messages until they are done."""
        while self._waiting and len(self._batch) < BATCH:
            self._batch.append(self._waiting.popleft())
        return [message for _, message in self._batch]

    def done(self) -> list[Item]:
        """Remove the batch: it is on the bus."""
        items, self._batch = [item for item, _ in self._batch], []
        return items
