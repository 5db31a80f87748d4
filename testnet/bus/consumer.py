"""What a reader of the bus does with each message, so that repeated delivery has one effect. Pure.

The bus delivers at least once. A producer that got no answer publishes again under the same ids, and a producer that
was killed finds after its restart what it can no longer know to be published: ids are made of the content, so they stay.
`run` is the producer's start and `n` counts its messages of one key: together they say the order.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

WINDOW = 5_000  # ids of one key that are remembered: some times what a producer can publish again, one batch


class Envelope(msgspec.Struct, frozen=True):
    """A message of the bus, docs/formats/market-data.md. `data` is the venue's own message."""

    id: str
    key: str
    run: int
    n: int
    stream: str
    t: float
    data: msgspec.Raw


@dataclass
class Counts:
    """What came in, since the start."""

    messages: int = 0
    duplicates: int = 0
    fenced: int = 0
    out_of_order: int = 0
    missed: int = 0
    malformed: int = 0


@dataclass
class _Key:
    run: int = 0
    n: int = 0
    ids: dict[str, None] = field(default_factory=dict)


_DECODER = msgspec.json.Decoder(Envelope)


class Inbox:
    """Judges messages in the order of their arrival."""

    def __init__(self) -> None:
        self.counts = Counts()
        self._keys: dict[str, _Key] = {}

    def take(self, message: bytes) -> Envelope | None:
        """The message when it is to have an effect; None when it is garbage, seen before, or older than what was seen.

        A message of an earlier run of the producer than the last one is fenced. A hole in `n` counts as missed: the
        producer had to drop something, and heals it with new messages.
        """
        try:
            it = _DECODER.decode(message)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self.counts.malformed += 1
            return None
        self.counts.messages += 1
        key = self._keys.setdefault(it.key, _Key())
        seen, later = it.id in key.ids, (it.run, it.n) > (key.run, key.n)
        if later:
            self._follow(key, it)
        if seen:
            self.counts.duplicates += 1
        elif it.run < key.run:
            self.counts.fenced += 1
        elif not later:
            self.counts.out_of_order += 1
        else:
            return it
        return None

    def _follow(self, key: _Key, it: Envelope) -> None:
        if it.run == key.run:
            self.counts.missed += it.n - key.n - 1
        key.run, key.n = it.run, it.n
        key.ids[it.id] = None
        if len(key.ids) > WINDOW:
            del key.ids[next(iter(key.ids))]
