"""The outcome of a run: each row maps the facts at its end to exit code, verdict, residue and a word of the reason."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from stormdesk.core.errors import ExitCode
from stormdesk.core.model import CheckResult, Verdict
from stormdesk.core.outcome import HostEnd, as_demanded, conclude

HELD = CheckResult("I-01", Verdict.HELD, "")
LOST = CheckResult("I-02", Verdict.VIOLATED, "an order was lost")
UNSEEN = CheckResult("I-03", Verdict.UNKNOWN, "too few orders")
GOOD: dict[str, Any] = {
    "clean": True,
    "as_planned": True,
    "reverted_by": "controller",
    "lateness_ms": 0,
    "witness": "full",
}
LATE: dict[str, Any] = {"as_planned": False, "reverted_by": "watchdog", "lateness_ms": 900}


@pytest.mark.parametrize(
    ("end", "checks", "extra", "code", "verdict", "residue", "why"),
    [
        ({}, [HELD], {}, 0, "held", "clean", "hypothesis held"),
        ({}, [HELD, LOST], {}, 1, "violated", "clean", "I-02 violated: an order was lost"),
        ({}, [HELD, UNSEEN], {}, 5, "unknown", "clean", "I-03 unknown: too few orders"),
        ({}, [LOST, UNSEEN], {}, 1, "violated", "clean", "an order was lost"),
        ({}, [], {}, 5, "unknown", "clean", ""),  # no check was asked: nothing is known
        ({"clean": False, "why_dirty": "+ route4 x"}, [HELD], {}, 5, "held", "dirty", "+ route4 x"),
        ({"clean": None}, [HELD], {}, 5, "held", "dirty", "it could not be asked"),
        ({"clean": False}, [LOST], {}, 5, "violated", "dirty", "may not be as it was"),
        (LATE, [HELD], {}, 4, "held", "clean", "reverted by watchdog, 900 ms late, which was not planned"),
        (LATE, [LOST], {}, 4, "violated", "clean", "not planned"),
        ({"reverted_by": "watchdog"}, [HELD], {}, 0, "held", "clean", "hypothesis held"),
        ({"witness": ""}, [HELD], {}, 5, "unknown", "clean", "no evidence that the fault bit"),
        ({"witness": ""}, [LOST], {}, 1, "violated", "clean", "no evidence"),
        ({"started_by": "stormdesk"}, [HELD], {}, 1, "violated", "clean", "nothing else started the service again"),
        ({"started_by": "manager"}, [HELD], {}, 0, "held", "clean", "hypothesis held"),
        ({}, [], {"stopped": "Ctrl-C"}, 4, "unknown", "clean", "stopped by Ctrl-C"),
        ({"clean": None}, [], {"stopped": "Ctrl-C"}, 5, "unknown", "dirty", "stopped by Ctrl-C"),
        ({}, [], {"failure": "did not take effect"}, 5, "unknown", "clean", "did not take effect"),
        ({}, [HELD], {"recovery": CheckResult("recovery", Verdict.VIOLATED, "late")}, 1, "violated", "clean", "late"),
        ({}, [HELD], {"recovery": CheckResult("recovery", Verdict.HELD, "3 s")}, 0, "held", "clean", "held"),
    ],
)
def test_the_end_of_a_run(
    end: dict[str, Any],
    checks: list[CheckResult],
    extra: dict[str, Any],
    code: int,
    verdict: str,
    residue: str,
    why: str,
) -> None:
    outcome = conclude("r-1", [HostEnd(host="trader-a", **{**GOOD, **end})], checks, **extra)
    assert (outcome.exit_code, outcome.verdict, outcome.residue) == (ExitCode(code), verdict, residue)
    assert why in outcome.why


def test_the_worst_of_several_hosts_counts() -> None:
    ends = [
        HostEnd(host="a", **GOOD),
        HostEnd(host="b", **{**GOOD, "clean": None}),
        HostEnd(host="c", **{**GOOD, **LATE}),
    ]
    outcome = conclude("r-1", ends, [HELD])
    assert (outcome.exit_code, outcome.residue) == (ExitCode.DIRTY, "dirty")
    assert "b may not be as it was" in outcome.why
    assert "c was reverted by watchdog" in outcome.why


@pytest.mark.parametrize(
    ("said", "must", "verdict"),
    [
        ([LOST], ["I-02"], "held"),  # what had to be lost was
        ([HELD], ["I-01"], "violated"),  # nothing was lost: the judge or the fault is blind
        ([UNSEEN], ["I-03"], "unknown"),  # nobody could tell
        ([LOST], ["I-01"], "violated"),  # something else was lost
        ([replace(HELD, id="I-02[trader-b]"), replace(LOST, id="I-02[trader-a]")], ["I-02"], "held"),  # on one host
        ([HELD, LOST], [], "violated"),
    ],
)
def test_a_run_that_must_lose_something(said: list[CheckResult], must: list[str], verdict: str) -> None:
    results = as_demanded(said, must)
    assert [result.id for result in results] == [result.id for result in said]
    assert Verdict.worst(*(result.verdict for result in results)) == verdict
