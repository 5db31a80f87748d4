"""What the stack itself said was wrong, read from the health documents of a run's samples. Pure.

A component that a trader or a guard calls failing, a trader that may not order, a pause, an alert. What a document does not have is
no sign, and a host that did not answer says nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

FAILING, ALERT, PAUSED = "failing", "alert", "paused"


@dataclass(frozen=True)
class Sign:
    """One thing that a host said from one sample to another, in seconds since 1970. `known`: it said so before the fault, too."""

    host: str
    kind: str
    text: str
    first_t: float
    last_t: float
    known: bool


def signs(samples: Sequence[Mapping[str, Any]], t0: float) -> tuple[Sign, ...]:
    """All signs, in the order of their beginning. `t0` is when the fault was in."""
    told: list[Sign] = []
    open_: dict[tuple[str, str, str], tuple[float, float]] = {}
    before: set[tuple[str, str, str]] = set()
    for sample in samples:
        t = float(sample["t"])
        health = sample.get("health") or {}
        now = {(host, kind, text) for host, document in health.items() for kind, text in _said(document)}
        if t < t0:
            before = now
        for key in [key for key in open_ if key not in now and key[0] in health]:
            told.append(Sign(*key, open_[key][0], t, key in before))
            del open_[key]
        for key in now:
            open_[key] = (open_.get(key, (t, t))[0], t)
    told += [Sign(*key, first, last, key in before) for key, (first, last) in open_.items()]
    return tuple(sorted(told, key=lambda sign: (sign.first_t, sign.host, sign.kind, sign.text)))


def first_after(said: Iterable[Sign], kinds: Sequence[str], t0: float) -> float | None:
    """Seconds from `t0` to the first sign of these kinds that was not there before; None: there was none."""
    return min(
        (sign.first_t - t0 for sign in said if sign.kind in kinds and not sign.known and sign.first_t >= t0),
        default=None,
    )


def asked(samples: Iterable[Mapping[str, Any]]) -> bool:
    """Did any host of the stack answer at all?"""
    return any(sample.get("health") for sample in samples)


def lag_peak(samples: Iterable[Mapping[str, Any]], t0: float) -> float | None:
    """The greatest age in seconds of a market data stream that a host told of, from `t0` on; None: nobody told of any."""
    ages = [age for sample in samples if float(sample["t"]) >= t0 for age in lags(sample)]
    return max(ages, default=None)


def lags(sample: Mapping[str, Any]) -> Iterable[float]:
    """The age of each stream of market data in one sample, in seconds."""
    for document in (sample.get("health") or {}).values():
        components = document.get("components") if isinstance(document, dict) else None
        for component in components.values() if isinstance(components, dict) else ():
            age = component.get("stream_age_s") if isinstance(component, dict) else None
            if isinstance(age, int | float):
                yield float(age)


def _said(document: object) -> Iterable[tuple[str, str]]:
    """(kind, text) of everything wrong in one host's document."""
    if not isinstance(document, dict):
        return
    for part in (document, document.get("guard")):
        if not isinstance(part, dict):
            continue
        names = part.get("failing_components") or ()
        yield from ((FAILING, str(name)) for name in names)
        if part.get("dor") is False and not names:
            yield FAILING, "not ready"
        for alert in part.get("alerts") or ():
            yield ALERT, str(alert.get("text") or alert.get("id")) if isinstance(alert, dict) else str(alert)
    if isinstance(desk := document.get("orchestrator"), dict):
        alerts = desk.get("alerts") or {}
        yield from (
            (ALERT, f"{name}: {alert.get('text', '')}") for name, alert in alerts.items() if isinstance(alert, dict)
        )
        if desk.get("paused") is True:
            yield PAUSED, "the desk is paused"
