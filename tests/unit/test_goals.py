"""The times that a runbook demands: read, measured and judged."""

from __future__ import annotations

import pytest

from stormdesk.core.errors import UsageError
from stormdesk.core.expect import Expectation
from stormdesk.core.goals import Clocks, Goal, recovered, told, traded_again
from stormdesk.core.model import Verdict
from stormdesk.core.runbook import Runbook, parse
from stormdesk.evidence.judges import JUDGES
from stormdesk.faults import FAULTS

STEPS = "steps: [{id: cut, fault: noop, host: ops, for: 5s}, {id: again, fault: noop, host: ops, for: 5s}]"


def book(*lines: str) -> Runbook:
    text = "\n".join(["```yaml", "title: T", "rto_s: 60", STEPS, "expect:", *lines, "```"])
    return parse(text, "book.md", FAULTS, tuple(JUDGES))


def test_goals_and_what_they_need_not_say() -> None:
    found = book(
        "  detect: {health: trader-a, within: 15s}",
        "  alert: [{metric: alarms, grows_by: 1, within: 20s, step: cut}, {health: ops, key: a.b, is: x, within: 1s, after: lift}]",
        "  dor: {health: trader-a, within: 30s}",
        "  recovered: {within: 30s}",
    )
    dor = Expectation("trader-a", "dor", "is", True, "lift", 30)
    assert found.goals == (
        Goal("detect", 15, "inject", "", Expectation("trader-a", "dor", "is", False, "inject", 15)),
        Goal("alert", 20, "inject", "cut", Expectation("", "alarms", "grows_by", 1, "inject", 20)),
        Goal("alert", 1, "lift", "", Expectation("ops", "a.b", "is", "x", "lift", 1)),
        Goal("dor", 30, "lift", "", dor),
        Goal("recovered", 30, ""),
    )
    assert found.watched == ["trader-a", "ops"]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("  found: {within: 1s}", r"6:3 expect: unknown key 'found'"),
        ("  detect: 15s", r"6:11 expect\.detect: expected keys and values"),
        ("  detect: {health: trader-a}", r"6:11 expect\.detect\.within: is required"),
        ("  detect: {within: 15s}", r"6:11 expect\.detect: needs health \(with key\) or metric"),
        ("  alert: {health: ops, within: 15s}", r"6:10 expect\.alert: needs health \(with key\) or metric"),
        ("  detect: {health: a, within: 15}", r"6:31 expect\.detect\.within: 15: no unit"),
        ("  detect: {health: a, within: 15s, after: end}", r"6:43 expect\.detect\.after: must be one of inject, lift"),
        ("  detect: {health: a, within: 15s, step: cat}", r"6:11 expect\.detect\.step: there is no fault 'cat'\. Known: cut, again"),
        ("  recovered: {}", r"6:14 expect\.recovered\.within: is required"),
        ("  recovered: {within: 2m}", r"6:23 expect\.recovered\.within: is more than the runbook's rto_s 60"),
        ("  recovered: {within: 2s, step: cut}", r"6:33 expect\.recovered\.step: needs after"),
        ("  detect: {health: a, key: b, stays: true, within: 15s}", r"6:11 expect\.detect: stays never comes true, it only lasts"),
        ("  recovered: {within: 2s, health: a}", r"6:27 expect\.recovered: unknown key 'health'"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_goal_is_an_error_with_its_place(line: str, why: str) -> None:
    with pytest.raises(UsageError, match=rf"^book\.md:{why}"):
        book(line)


CLOCKS = Clocks({"cut": 100.0, "again": 110.0}, {"cut": 105.0, "again": 116.0}, 116.0)


@pytest.mark.parametrize(
    ("goal", "start"),
    [
        (Goal("dor", 1, "inject"), 100.0),
        (Goal("dor", 1, "lift"), 116.0),
        (Goal("dor", 1, "lift", "cut"), 105.0),
        (Goal("dor", 1, "inject", "again"), 110.0),
        (Goal("recovered", 1, ""), 116.0),
    ],
)
def test_the_clock_is_that_of_a_step_or_of_the_whole_run(goal: Goal, start: float) -> None:
    assert CLOCKS.start(goal) == start


def test_a_fault_that_was_not_lifted_has_no_clock() -> None:
    some = Clocks({"cut": 100.0, "again": None}, {"cut": 105.0, "again": None}, None)
    assert some.start(Goal("dor", 1, "lift")) is None
    assert some.start(Goal("dor", 1, "inject")) == 100.0
    assert some.start(Goal("recovered", 1, "")) is None


def test_detection_is_measured_in_samples_and_can_be_late() -> None:
    goal = Goal("detect", 15, "inject", "", Expectation("a", "dor", "is", False, "inject", 15))
    watch = CLOCKS.watch(goal)
    for late, verdict in ((12.0, Verdict.HELD), (15.5, Verdict.VIOLATED)):
        samples = [{"t": 100 + t / 2, "health": {"a": {"dor": t / 2 < late}}} for t in range(-4, 60)]
        assert watch.came(samples) == late
        result = watch.judge(samples)
        assert (result.id, result.verdict) == ("detect: a health dor is false within 15 s of the inject", verdict)
    assert watch.came([{"t": 101.0, "health": {"a": {"dor": True}}}]) is None


STEADY = [90 + n / 3 for n in range(60)]  # until 109.7


@pytest.mark.parametrize(
    ("accepted", "until", "found"),
    [
        (STEADY, 110, 100.0),  # never silent
        ([t for t in STEADY if not 99 < t < 104.9], 110, 105.0),
        ([t for t in STEADY if not 95 < t < 98], 110, 100.0),  # silent before the clock started
        ([t for t in STEADY if not (99 < t < 102.9 or 104 < t < 106.9)], 110, 107.0),  # the last silence counts
        ([t for t in STEADY if t < 105], 110, None),
        ([], 110, None),
        ([t for t in STEADY if t > 103.9], 110, 104.0),
        ([t for t in STEADY if not 106 < t < 109], 107, 100.0),  # what came after the watch is not looked at
    ],
)
def test_trading_is_back_at_the_end_of_the_last_silence(
    accepted: list[float], until: float, found: float | None
) -> None:
    assert traded_again(accepted, 100.0, until, 1.5) == (None if found is None else pytest.approx(found))


@pytest.mark.parametrize(
    ("start", "at", "unknown", "verdict", "why"),
    [
        (100.0, 129.95, "", Verdict.HELD, "after 29.95 s: the record"),
        (100.0, 130.05, "", Verdict.VIOLATED, "after 30.05 s: the record"),
        (100.0, None, "", Verdict.VIOLATED, "never while it was watched: the record"),
        (None, 130.0, "", Verdict.UNKNOWN, "there was no lift"),
        (100.0, None, "unreadable", Verdict.UNKNOWN, "unreadable"),
    ],
)
def test_recovery_is_in_time_or_late(
    start: float | None, at: float | None, unknown: str, verdict: Verdict, why: str
) -> None:
    result = recovered(Goal("recovered", 30, "lift"), start, at, "the record", unknown)
    assert (result.id, result.verdict, result.why) == ("recovered: within 30 s of the lift", verdict, why)


def test_a_goal_is_in_the_record_with_what_was_measured() -> None:
    assert told(Goal("recovered", 30, ""), 100.0, 3.14159, Verdict.HELD) == {
        "kind": "recovered", "within_s": 30, "after": "recovery", "step": "", "from": 100.0, "took_s": 3.142, "verdict": "held",
    }  # fmt: skip
