"""Situations that a run may have reached: without them its verdict says less than it seems to. Pure: events and a cut in, names out.

A situation is a function of the facts of a run: its docstring says what it is in one sentence, its name is its name. It returns its
evidence in a few words, "" where the run was never in it. It judges nothing: a desk may be in any of them and be right.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence

from stormdesk.core.journal import Event
from stormdesk.core.model import CheckResult, Verdict
from stormdesk.evidence.cut import Cut
from stormdesk.evidence.situations import orders, refusals, surroundings
from stormdesk.evidence.situations.facts import Facts

Situation = Callable[[Facts], str]
SITUATIONS: Mapping[str, Situation] = {
    each.__name__.replace("_", "-"): each for each in (*orders.ALL, *refusals.ALL, *surroundings.ALL)
}


def says(name: str) -> str:
    """What a situation is, in one sentence."""
    return inspect.cleandoc(SITUATIONS[name].__doc__ or "")


def reached(events: Sequence[Event], cut: Cut | None) -> dict[str, str]:
    """Those that a run was in, each with its evidence."""
    facts = Facts(events, cut)
    return {name: evidence for name, look in SITUATIONS.items() if (evidence := look(facts))}


def demanded(wanted: Iterable[str], found: Mapping[str, str]) -> list[CheckResult]:
    """The situations that a runbook names: without one of them its verdict is unknown."""
    return [
        CheckResult(f"situation {name}", Verdict.HELD, found[name])
        if name in found
        else CheckResult(f"situation {name}", Verdict.UNKNOWN, f"it did not come to it: {says(name)}")
        for name in wanted
    ]
