"""How a reader of the bus handles each message, so that repeated delivery has one effect. Pure.

The bus delivers at least once. A producer that got no answer publishes again under the same ids, and so does one that was
killed, after its restart: ids are derived from the content. `run` is the producer's start and `n` counts its messages of one
key; together they define the order.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

WINDOW = 5_000  # remembered ids per key: several times one batch, which a producer may publish again


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
    """Counters since the start."""

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
    """Filters messages in the order of their arrival."""

    def __init__(self) -> None:
        self.counts = Counts()
        self._keys: dict[str, _Key] = {}

    def take(self, message: bytes) -> Envelope | None:
        """The message if it should have an effect; None when it is malformed, a repetition, or older than the last one.

        A message of an earlier run of the producer is fenced. A gap in `n` counts as missed: the producer had to drop messages,
        and repairs that with new ones.
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
