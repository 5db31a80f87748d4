"""Conditions that end a run early."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from stormdesk.core.conditions import Condition, reason
from stormdesk.core.errors import UsageError
from stormdesk.core.expect import Expectation
from stormdesk.core.runbook import Runbook, parse
from stormdesk.evidence.judges import JUDGES
from stormdesk.faults import FAULTS


def book(*lines: str) -> Runbook:
    steps = "steps: [{fault: noop, host: ops, for: 5s}]"
    text = "\n".join(["```yaml", "title: T", "rto_s: 60", steps, "stop_when:", *lines, "```"])
    return parse(text, "book.md", FAULTS, tuple(JUDGES))


def test_conditions_are_read() -> None:
    found = book("  - {metric: refused, grows_by: 50}", "  - {health: a, key: kill.on, is: true, for: 3s}")
    assert found.stop_when == (
        Condition(Expectation("", "refused", "grows_by", 50.0, "inject", 0), 0),
        Condition(Expectation("a", "kill.on", "is", True, "inject", 3), 3),
    )
    assert found.watched == ["a"]
    assert [each.sentence() for each in found.stop_when] == [
        "metric refused grows by 50.0",
        "a health kill.on is true for 3 s",
    ]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("  - {metric: refused}", r"6:5 stop_when\[0\]: needs health \(with key\) or metric, one of is, "),
        ("  - {metric: refused, above: 5}", r"6:23 stop_when\[0\]: unknown key 'above'"),
        ("  - {metric: refused, at_least: many}", r"6:33 stop_when\[0\]\.at_least: "),
        ("  - {metric: refused, at_least: 5, for: 3}", r"6:41 stop_when\[0\]\.for: 3: no unit"),
        ("  - {metric: refused, stays_at_most: 5}", r"6:5 stop_when\[0\]: stays_at_most never comes true"),
        ("  {metric: refused, at_least: 5}", r"6:3 stop_when: expected a list"),
    ],
)
def test_a_mistake_in_a_condition_is_an_error_with_its_place(line: str, why: str) -> None:
    with pytest.raises(UsageError, match=rf"^book\.md:{why}"):
        book(line)


def of(*refused: float | None) -> list[dict[str, Any]]:
    """Samples, one a second; None: nobody answered."""
    return [{"t": float(t), "metrics": None if n is None else {"refused": n}} for t, n in enumerate(refused)]


@pytest.mark.parametrize(
    ("test", "value", "for_s", "samples", "met"),
    [
        ("at_least", 5, 0, of(0, 4), False),
        ("at_least", 5, 0, of(0, 5), True),
        ("at_least", 5, 0, of(9, 4), False),  # the last sample decides
        ("at_least", 5, 2, of(0, 5, 5), False),
        ("at_least", 5, 2, of(0, 5, 5, 5), True),
        ("at_least", 5, 2, of(5, 5, 4, 5, 5), False),  # anew
        ("at_least", 5, 2, of(0, 5, None, 5), True),
        ("at_least", 5, 2, of(0, 5, None, 4), False),
        ("grows_by", 3, 0, of(7, 9), False),
        ("grows_by", 3, 0, of(7, 9, 10), True),
        ("at_least", 5, 0, of(None), False),
        ("at_least", 5, 0, [], False),
    ],
)
def test_a_condition_is_met_when_it_has_held_for_long_enough(
    test: str, value: float, for_s: float, samples: Sequence[dict[str, Any]], met: bool
) -> None:
    condition = Condition(Expectation("", "refused", test, value, "inject", for_s), for_s)
    assert condition.met(samples) is met
    assert reason([condition], samples).startswith("stop_when: metric refused") is met
