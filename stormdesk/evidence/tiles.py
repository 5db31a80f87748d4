"""The scorecard as people see it: a tile for each number. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from stormdesk.evidence import comparing, signs
from stormdesk.evidence.comparing import Change
from stormdesk.evidence.scorecard import Scorecard
from stormdesk.evidence.story import Story


@dataclass(frozen=True)
class Tile:
    """One number of the scorecard as people see it. `share` is a bar's length in percent."""

    label: str
    number: str
    unit: str = ""
    css: str = ""
    share: float | None = None
    change: Change | None = None


def tiles(story: Story, card: Scorecard, last: Mapping[str, Any] | None = None) -> list[Tile]:
    """The scorecard as people see it, in the order of comparing.NUMBERS; what no run of its kind has is left out."""
    changed = comparing.changes(card, last)
    numbers = msgspec.to_builtins(card)
    found = [Tile("status", marked(card.state), css="word " + ("bad" if card.state in ("fail", "dirty") else ""))]
    for key, label, unit, less in comparing.NUMBERS:
        if key in ("orders_refused", "venue_calls_for_refused") and story.refused is None:
            continue
        tile = _recovery(card) if key == "recovery_s" else _tile(label, numbers[key], unit)
        if (
            tile.number == "not measured"
            and key in ("detect_s", "alert_s")
            and story.injected
            and signs.asked(story.samples)
        ):
            tile = Tile(
                label, "never", "no sign" if key == "detect_s" else "no alert", "word none"
            )
        bad = less and unit == "" and numbers[key]
        found.append(replace(tile, css="bad" if bad else tile.css, change=changed.get(key)))
    by = ", ".join(card.reverted_by)
    return [*found, Tile("reverted by", by or "nobody", css="word" if by else "word none")]


def marked(state: str) -> str:
    """A state with its sign, so that no colour is needed to read it."""
    signs_of = {"pass": "✓", "fail": "✗", "dirty": "✗", "stopped": "■", "refused": "-"}
    return f"{signs_of.get(state, '?')} {state.upper()}"


def _tile(label: str, value: float | None, unit: str = "") -> Tile:
    if value is None:
        return Tile(label, "not measured", css="word none")
    return Tile(label, f"{value:,.1f}" if unit == "s" else f"{value:,}", unit)


def _recovery(card: Scorecard) -> Tile:
    took, budget = card.recovery_s, card.recovery_budget_s
    if budget is None:
        return Tile("recovery time", "not measured", css="word none")
    if took is None:
        return Tile("recovery time", "never", f"budget {budget:g} s", "bad", 100.0)
    share = min(100.0, 100 * took / budget) if budget else 100.0
    return Tile("recovery time", f"{took:.1f}", f"of {budget:g} s", "" if took <= budget else "bad", share)
