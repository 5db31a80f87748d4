"""The blocks `expect` and `stop_when` of a runbook: the times that it demands, and what ends it early. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import yaml

from stormdesk.core.conditions import Condition
from stormdesk.core.expect import CLOCKS, LASTING, TESTS, Expectation
from stormdesk.core.goals import KINDS, Goal
from stormdesk.core.reading import Reader
from stormdesk.core.runbook_steps import LOOKED_AT, Unsaid, expectation, what
from stormdesk.core.schedule import Schedule
from stormdesk.core.values import Duration

UNSAID: Mapping[str, Unsaid] = {
    "detect": Unsaid("inject", "dor", False),
    "alert": Unsaid("inject"),
    "dor": Unsaid("lift", "dor", True),
}


def read(reader: Reader, node: yaml.Node | None, schedule: Schedule, rto_s: float) -> tuple[Goal, ...]:
    """The goals in the order of the file. Raises UsageError with file, line and column."""
    if node is None:
        return ()
    found = []
    for kind, value in reader.mapping(node, "expect", KINDS).items():
        listed = isinstance(value, yaml.SequenceNode)
        for number, each in enumerate(reader.sequence(value, f"expect.{kind}") if listed else [value]):
            path = f"expect.{kind}[{number}]" if listed else f"expect.{kind}"
            goal = _recovered(reader, each, path, rto_s) if kind == "recovered" else _seen(reader, each, path, kind)
            _known_step(reader, each, path, goal.step, schedule)
            found.append(goal)
    return tuple(found)


def conditions(reader: Reader, node: yaml.Node | None) -> tuple[Condition, ...]:
    """The block `stop_when`. Raises UsageError with file, line and column."""
    found = []
    for number, entry in enumerate(reader.sequence(node, "stop_when")):
        path = f"stop_when[{number}]"
        keys = reader.mapping(entry, path, (*LOOKED_AT, "for"))
        seen = what(reader, entry, path, keys, "")
        _comes_true(reader, entry, path, seen.test)
        for_s = float(reader.value(keys["for"], f"{path}.for", Duration)) if "for" in keys else 0.0
        found.append(Condition(Expectation(seen.host, seen.key, seen.test, seen.value, "inject", for_s), for_s))
    return tuple(found)


def _seen(reader: Reader, node: yaml.Node, path: str, kind: str) -> Goal:
    seen = expectation(reader, node, path, UNSAID[kind])
    _comes_true(reader, node, path, seen.test)
    return Goal(kind, seen.within_s, seen.after, _step(reader, node, path), seen)


def _comes_true(reader: Reader, node: yaml.Node, path: str, test: str) -> None:
    if test in LASTING:
        known = ", ".join(each for each in TESTS if each not in LASTING)
        reader.fail(node, path, f"{test} never comes true, it only lasts. Use one of {known}")


def _recovered(reader: Reader, node: yaml.Node, path: str, rto_s: float) -> Goal:
    keys = reader.mapping(node, path, ("within", "after", "step"))
    if "within" not in keys:
        reader.fail(node, f"{path}.within", "is required")
    within_s = float(reader.value(keys["within"], f"{path}.within", Duration))
    if within_s > rto_s:
        reader.fail(
            keys["within"], f"{path}.within", f"is more than the runbook's rto_s {rto_s:g}, which is watched for"
        )
    after = reader.text(keys["after"], f"{path}.after") if "after" in keys else ""
    if after and after not in CLOCKS:
        reader.fail(keys["after"], f"{path}.after", f"must be one of {', '.join(CLOCKS)}")
    step = _step(reader, node, path)
    if step and not after:
        reader.fail(keys["step"], f"{path}.step", "needs after: inject or lift of that step")
    return Goal("recovered", within_s, after, step)


def _step(reader: Reader, node: yaml.Node, path: str) -> str:
    assert isinstance(node, yaml.MappingNode)
    found = next((value for key, value in node.value if key.value == "step"), None)
    return reader.text(found, f"{path}.step") if found is not None else ""


def _known_step(reader: Reader, node: yaml.Node, path: str, step: str, schedule: Schedule) -> None:
    known = [op.id for op in schedule.injects]
    if step and step not in known:
        reader.fail(node, f"{path}.step", f"there is no fault '{step}'. Known: {', '.join(known)}")
