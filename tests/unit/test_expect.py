"""Expectations of runbooks: what must come true in time, and what must be true all the time."""

from __future__ import annotations

from typing import Any

import pytest

from stormdesk.core.expect import Expectation, Watch
from stormdesk.core.model import Verdict


def judged(
    test: str, value: Any, readings: dict[float, float | None], key: str = "refused", within_s: float = 10.0
) -> Verdict:
    """The verdict on a metric whose readings are given by seconds after the inject (at 100); None: nobody answered."""
    samples = [{"t": 100.0 + at, "metrics": None if n is None else {key: n}} for at, n in readings.items()]
    return Watch(Expectation("", key, test, value, "inject", within_s), {"inject": 100.0}).judge(samples).verdict


@pytest.mark.parametrize(
    ("test", "value", "broken"),
    [("stays_at_most", 4.0, 5.0), ("stays_at_least", 2.0, 1.0), ("grows_at_most", 2.0, 6.0), ("stays", 3.0, 4.0)],
)
def test_what_must_be_so_all_the_time_is_violated_by_one_sample(test: str, value: float, broken: float) -> None:
    good = {-1.0: 3.0, 1.0: 3.0, 5.0: 3.0, 9.0: 3.0}
    assert judged(test, value, good) is Verdict.HELD
    assert judged(test, value, {**good, 5.0: broken}) is Verdict.VIOLATED
    assert judged(test, value, {**good, 11.0: broken}) is Verdict.HELD, "that was after its time"


def test_what_nobody_watched_to_the_end_is_unknown() -> None:
    assert judged("stays_at_most", 4.0, {1.0: 3.0, 5.0: 3.0}) is Verdict.UNKNOWN
    assert judged("stays_at_most", 4.0, {1.0: 3.0, 5.0: 3.0, 9.5: None}) is Verdict.UNKNOWN
    assert judged("grows_at_most", 4.0, {1.0: 3.0, 9.5: 3.0}) is Verdict.UNKNOWN, "nothing to count from"


def test_growth_counts_from_the_last_sample_that_says_something() -> None:
    assert judged("grows_by", 2.0, {-2.0: 3.0, -1.0: None, 1.0: 3.0, 5.0: 5.0}) is Verdict.HELD
    assert judged("grows_by", 3.0, {-2.0: 3.0, -1.0: None, 1.0: 3.0, 5.0: 5.0, 11.0: 5.0}) is Verdict.VIOLATED


def test_a_reason_that_nobody_has_counted_yet_is_zero_and_an_unknown_name_is_nothing() -> None:
    seen = {"t": 101.0, "metrics": {"skipped": 4.0}}

    def look(key: str) -> bool | None:
        return Expectation("", key, "at_most", 0.0, "inject", 9.0).holds(seen, None)

    assert look("skipped.NO_QUOTE") is True
    assert look("skiped.NO_QUOTE") is None
    assert look("alarms") is None


def test_the_sentence_says_whether_it_must_come_or_stay() -> None:
    def said(test: str) -> str:
        return Expectation("", "refused", test, 3, "lift", 9.0).sentence()

    assert said("at_most") == "metric refused at most 3 within 9 s of the lift"
    assert said("stays_at_most") == "metric refused stays at most 3 for 9 s after the lift"


def test_growth_counts_from_the_last_sample_that_says_anything() -> None:
    assert judged("grows_by", 2.0, {-3.0: 1.0, -1.0: None, 2.0: 3.0}) is Verdict.HELD
    assert judged("grows_by", 2.0, {-3.0: 1.0, -1.0: None, 2.0: 2.0, 10.0: 2.0}) is Verdict.VIOLATED
    assert judged("grows_by", 2.0, {-1.0: None, 2.0: 3.0, 10.0: 9.0}) is Verdict.UNKNOWN
