"""A circuit breaker. Pure: each function takes a breaker and returns the next one; times are seconds of one clock.

    CLOSED --failures within the window--> OPEN --open_s later--> HALF_OPEN --one probe order--> CLOSED, or OPEN again

Only an order that the venue answered counts as a success or a failure. Silence is a state of the venue, not of the symbol, and
stops all orders anyway.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from stormdesk.testnet.resilience import Breaker as Numbers


class Circuit(StrEnum):
    """The state of a breaker."""

    CLOSED = "CLOSED"
    HALF_OPEN = "HALF_OPEN"
    OPEN = "OPEN"


LEVEL = {Circuit.CLOSED: 0, Circuit.HALF_OPEN: 1, Circuit.OPEN: 2}  # the values of trader_breaker_state


@dataclass(frozen=True)
class Breaker:
    """`failures` are the times of recent failures; `probing`: the one order of HALF_OPEN is under way."""

    circuit: Circuit = Circuit.CLOSED
    failures: tuple[float, ...] = ()
    opened_at: float = 0.0
    probing: bool = False


def at(breaker: Breaker, now: float, numbers: Numbers) -> Breaker:
    """The breaker at that time: an open one may have become half open."""
    if breaker.circuit is Circuit.OPEN and now - breaker.opened_at >= numbers.open_s:
        return Breaker(Circuit.HALF_OPEN, opened_at=breaker.opened_at)
    return breaker


def lets_through(breaker: Breaker) -> bool:
    """Whether one more order may be sent."""
    return breaker.circuit is Circuit.CLOSED or (breaker.circuit is Circuit.HALF_OPEN and not breaker.probing)


def sent(breaker: Breaker) -> Breaker:
    """An order was let through."""
    return replace(breaker, probing=breaker.circuit is Circuit.HALF_OPEN)


def unclear(breaker: Breaker) -> Breaker:
    """The order had no conclusive result: the next one may probe."""
    return replace(breaker, probing=False)


def succeeded(breaker: Breaker) -> Breaker:
    """The venue accepted the order. While OPEN that is late news about an earlier order."""
    return breaker if breaker.circuit is Circuit.OPEN else Breaker()


def failed(breaker: Breaker, now: float, numbers: Numbers) -> Breaker:
    """The venue refused the order."""
    if breaker.circuit is Circuit.OPEN:
        return breaker
    recent = (*(t for t in breaker.failures if now - t < numbers.window_s), now)
    if breaker.circuit is Circuit.HALF_OPEN or len(recent) >= numbers.failures:
        return Breaker(Circuit.OPEN, opened_at=now)
    return replace(breaker, failures=recent)
