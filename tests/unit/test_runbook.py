"""The values of a runbook reach the faults of its steps; duplicate values must agree."""

from __future__ import annotations

from pathlib import Path

import pytest

from stormdesk.cli.api import fault_named
from stormdesk.core.errors import UsageError
from stormdesk.core.runbook import Runbook, parse
from stormdesk.core.schedule import Act, At, Pause
from stormdesk.core.values import Duration
from stormdesk.evidence.judges import JUDGES
from stormdesk.faults import FAULTS
from stormdesk.faults.process.process_kill import ProcessKill

RUNBOOKS = Path(__file__).resolve().parents[2] / "runbooks"


def book(rto_s: str, *more: str) -> Runbook:
    lines = [
        "prose", "```yaml", "title: T", f"rto_s: {rto_s}", "steps:",
        "  - {fault: disk-full, host: ops, for: 5s}",
        "  - fault: process-kill", "    host: trader-a", "    service: trader", "    for: 5s", *more, "```",
    ]  # fmt: skip
    return parse("\n".join(lines), "book.md", FAULTS, tuple(JUDGES))


def kill(rto_s: str, *more: str) -> ProcessKill:
    fault = book(rto_s, *more).faults[1].fault
    assert isinstance(fault, ProcessKill)
    return fault


@pytest.mark.parametrize(("rto_s", "wanted"), [("90", 90.0), ("2.5", 2.5), ("1800", 1800.0)])
def test_case_C38_the_budget_of_a_runbook_reaches_its_faults(rto_s: str, wanted: float) -> None:
    assert float(kill(rto_s).rto) == wanted


def test_case_C38_a_budget_that_is_said_twice_alike_is_fine() -> None:
    assert float(kill("90", "    rto: 90s").rto) == 90.0


@pytest.mark.parametrize("own", ["60s", "30s", "2m"])
def test_case_C38_two_budgets_are_an_error_with_its_place(own: str) -> None:
    with pytest.raises(UsageError) as caught:
        book("90", f"    rto: {own}")
    first = str(caught.value).splitlines()[0]
    assert (
        first
        == f"book.md:11:10 steps[1].rto: {Duration(own)} is another budget than the runbook's rto_s 90. Leave rto out"
    )


def test_case_C38_a_budget_that_no_fault_can_have_is_an_error_with_its_place() -> None:
    with pytest.raises(UsageError, match=r"^book\.md:7:12 steps\[1\]\.fault: rto_s .*must be 1ms\.\.30m"):
        book("3600")


def test_case_C38_every_runbook_of_ours_has_one_budget() -> None:
    for path in (RUNBOOKS / "autoheal/kill-trader.md", RUNBOOKS / "autoheal/kill-feeder.md"):
        found = parse(path.read_text(), str(path), FAULTS, tuple(JUDGES))
        assert [float(getattr(step.fault, "rto", found.rto_s)) for step in found.faults] == [found.rto_s]


def test_case_C38_the_budget_of_a_test_session_reaches_its_faults_unless_the_test_says_another() -> None:
    assert fault_named("process-kill", {"service": "trader"}, 90.0) == ProcessKill(service="trader", rto=Duration(90))
    told = fault_named("process-kill", {"service": "trader", "rto": 45}, 90.0)
    assert told == ProcessKill(service="trader", rto=Duration(45))


def targeted(host: str) -> tuple[str, ...]:
    lines = ["```yaml", "title: T", "rto_s: 30", "steps:", f"  - {{fault: noop, host: {host}, for: 5s}}", "```"]
    return parse("\n".join(lines), "book.md", FAULTS, tuple(JUDGES)).faults[0].hosts


def test_a_step_takes_the_words_of_host_and_decides_nothing() -> None:
    assert targeted('"leader, one:role:trader,venue"') == ("leader", "one:role:trader", "venue")


def test_a_word_that_can_mean_no_host_is_an_error_with_its_place() -> None:
    with pytest.raises(UsageError, match=r"^book\.md:5:25 steps\[0\]\.host: one:trader: must be a name .*or leader"):
        targeted("one:trader")


LANES = [
    "lanes:", "  net:", "    - {id: cut, fault: noop, host: trader-a, for: 5s}",
    "    - {fault: noop, host: trader-a, for: 5s}", "    - {fault: noop, host: trader-a, for: 5s}",
    "  people:", "    - {act: stack.pause, with: {by: ann}, after: {step: cut, edge: inject, plus: 2s}}",
    "    - {pause: \"Who noticed?\", timeout: 1m, at: 10s}", "    - {wait: 3s}", "    - {note: The end}",
]  # fmt: skip


def laned(*lines: str) -> Runbook:
    text = "\n".join(["```yaml", "title: T", "rto_s: 30", *lines, "```"])
    return parse(text, "book.md", FAULTS, tuple(JUDGES), ("stack.pause",))


def test_lanes_of_faults_tasks_waits_questions_and_notes() -> None:
    schedule = laned(*LANES).schedule
    assert [(op.id, op.lane) for op in schedule] == [
        ("cut", "net"), ("noop", "net"), ("noop-2", "net"),
        ("stack.pause", "people"), ("pause", "people"), ("wait", "people"), ("note", "people"),
    ]  # fmt: skip
    pause = schedule.op("stack.pause")
    assert pause.do == Act("stack.pause", {"by": "ann"})
    assert pause.after == (At("cut", "inject", 2),)
    assert schedule.op("pause").do == Pause("Who noticed?", 60)
    assert schedule.op("pause").after == (At(plus_s=10), At("stack.pause"))


@pytest.mark.parametrize(
    ("line", "instead", "why"),
    [
        (2, "    - {id: cut, fault: nop, host: a, for: 5s}", r"6:24 lanes\.net\[0\]\.fault: no fault 'nop'\. Did you mean: noop\?"),
        (3, "    - {id: cut, fault: noop, host: a, for: 5s}", r"7:12 lanes\.net\[1\]\.id: cut is lanes\.net\[0\] already"),
        (6, "    - {act: stack.stop}", r"10:13 lanes\.people\[0\]\.act: no task 'stack\.stop'\. Did you mean: stack\.pause\?"),
        (6, "    - {act: stack.pause, after: {step: no}}", r"10:7 lanes\.people\[0\]\.after: there is no step 'no'"),
        (6, "    - {act: stack.pause, after: {step: cut, edge: top}}", r"10:51 .*\.after\.edge: must be one of begin, inject, lift, end"),
        (6, "    - {act: stack.pause, wait: 5s}", r"10:32 lanes\.people\[0\]: is act already: one step does one thing, not wait too"),
        (6, "    - {wait: 5s, after: {step: wait}}", r"13:7 lanes\.people\[3\]\.after: note and .* wait for each other"),
        (8, "    - {wait: 3s, host: a}", r"12:18 lanes\.people\[2\]: unknown key 'host'"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_lane_is_an_error_with_its_place(line: int, instead: str, why: str) -> None:
    with pytest.raises(UsageError, match=rf"^book\.md:{why}"):
        laned(*LANES[:line], instead, *LANES[line + 1 :])


def test_a_runbook_has_steps_or_lanes_and_a_fault_among_them() -> None:
    with pytest.raises(UsageError, match=r"steps: and lanes: give one of them"):
        laned("steps: []", *LANES)
    with pytest.raises(UsageError, match=r"lanes: at least one step is required that is a fault"):
        laned("lanes:", "  people:", "    - {wait: 1s}")


@pytest.mark.parametrize("written", ["L-01 L-02", "[L-01, L-02]", "[L-01 L-02]"])
def test_a_runbook_may_show_several_scenarios(written: str) -> None:
    book = laned(f"scenario: {written}", *LANES)
    assert book.scenarios == ("L-01", "L-02")
    assert book.scenario == "L-01 L-02"


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("[L-01, L-01]", r"4:18 scenario\[1\]: L-01 is given twice"),
        ("{a: b}", r"4:11 scenario: expected a text"),
        ("[[L-01]]", r"4:12 scenario\[0\]: expected a text"),
    ],
)
def test_a_mistake_in_the_scenarios_is_an_error_with_its_place(written: str, why: str) -> None:
    with pytest.raises(UsageError, match=rf"^book\.md:{why}"):
        laned(f"scenario: {written}", *LANES)


def test_an_error_about_a_long_line_shows_the_part_that_it_is_about() -> None:
    with pytest.raises(UsageError) as caught:
        laned(f"lanes: {{{'a' * 900}: [{{wait: 5}}]}}")
    place, shown, mark = str(caught.value).splitlines()
    assert place.startswith("book.md:4:919 lanes.aaa")
    assert place.endswith("a: 5: no unit. Did you mean 5s? (ms, s, m, h; 1ms..30m)")
    assert shown[len(mark) - 1 :] == "5}]}"
    assert max(map(len, (place, shown))) < 300
    with pytest.raises(UsageError) as caught:
        laned(f"checks: [{'x' * 5000}]", *LANES)
    assert len(str(caught.value)) < 1200
