"""Growing pauses between retries: base, base x factor, ... up to the cap. Pure."""

from __future__ import annotations

from random import Random

from stormdesk.testnet.resilience import Retry


class Backoff:
    """The pauses of one connection. `random` shortens each by up to the jitter's share, so that clients do not retry at the same
    time."""

    def __init__(self, retry: Retry, random: Random) -> None:
        self.tries = 0
        self._retry = retry
        self._random = random

    def next_s(self) -> float:
        """The pause after one more failure, in seconds."""
        whole = min(self._retry.base_s * self._retry.factor ** min(self.tries, 64), self._retry.cap_s)
        self.tries += 1
        return whole * (1 - self._random.random() * self._retry.jitter)

    def reset(self) -> None:
        """After a success: start again with the first pause."""
        self.tries = 0
