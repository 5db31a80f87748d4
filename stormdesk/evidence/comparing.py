"""Scorecards side by side: which run is the last one of the same id, and what has changed since. Pure.

Earlier scorecards are documents that any version wrote: what they do not have was not measured.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from stormdesk.evidence.scorecard import Scorecard

Card = Mapping[str, Any]

# key, what people call it, unit, whether less is better
NUMBERS = (
    ("detect_s", "time to detect", "s", True),
    ("alert_s", "time to alert", "s", True),
    ("recovery_s", "recovery time", "s", True),
    ("orders_lost", "data loss: orders lost", "", True),
    ("order_violations", "order violations", "", True),
    ("state_issues", "state issues", "", True),
    ("feed_lag_peak_s", "peak lag of market data", "s", True),
    ("lateness_ms", "past the deadline", "ms", True),
    ("orders_accepted", "orders accepted in this run", "", False),
    ("orders_refused", "orders refused, the disk named", "", False),
    ("venue_calls_for_refused", "venue calls for refused orders", "", True),
)


@dataclass(frozen=True)
class Change:
    """One number beside that of the last run. `tone`: better, worse or same; "" where neither is better or one is missing."""

    before: str
    words: str
    tone: str


def identity(card: Card) -> str:
    """What runs have in common that are compared: the scenario of their runbook, else fault and hosts."""
    return str(card.get("scenario") or f"{card.get('fault', '')} on {', '.join(card.get('hosts') or ())}")


def last_of_the_same(card: Card, earlier: Iterable[Card]) -> Card | None:
    """The latest of those that began before it and are of the same id; those that were refused or stopped have no numbers."""
    same = [
        one
        for one in earlier
        if identity(one) == identity(card)
        and one.get("run") != card["run"]
        and str(one.get("started_at", "")) <= card["started_at"]
        and state_of(one) not in ("refused", "stopped")
    ]
    return max(same, key=lambda one: (str(one.get("started_at", "")), str(one.get("run", ""))), default=None)


def state_of(card: Card) -> str:
    """The state of a scorecard, also of one that was written before there was `state`."""
    known = str(card.get("state") or "")
    return known or {"held": "pass", "violated": "fail"}.get(str(card.get("verdict")), "unknown")


def changes(card: Scorecard, last: Card | None) -> dict[str, Change]:
    """By key of NUMBERS: what has changed since the last run; {} where there is none."""
    if last is None:
        return {}
    now = msgspec.to_builtins(card)
    return {key: _change(now[key], last.get(key), unit, less) for key, _, unit, less in NUMBERS}


def _change(now: float | None, before: object, unit: str, less: bool) -> Change:
    if not isinstance(before, int | float):
        return Change("not measured", "", "")
    if now is None:
        return Change(number(before, unit), "", "")
    apart = now - before
    if abs(apart) < (0.05 if unit == "s" else 1):
        return Change(number(before, unit), "same", "same")
    words = f"{number(abs(apart), unit)} {'less' if apart < 0 else 'more'}"
    counts = less and (unit == "" or abs(apart) > (0.5 if unit == "s" else 50))  # times differ a little each time
    return Change(number(before, unit), words, ("better" if apart < 0 else "worse") if counts else "")


def number(value: float, unit: str) -> str:
    """As people read it: one decimal of a second, everything else whole."""
    return f"{value:,.1f} s" if unit == "s" else f"{value:,.0f} {unit}".rstrip()


def rate(cards: Sequence[Card]) -> tuple[int, int]:
    """(passed, judged): runs that came to a verdict, and how many of these passed."""
    judged = [state_of(card) for card in cards if state_of(card) in ("pass", "fail", "dirty")]
    return judged.count("pass"), len(judged)
