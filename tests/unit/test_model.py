"""Verdicts, deadlines and the hash of a plan."""

from __future__ import annotations

import itertools

import pytest

from stormdesk.errors import ExitCode, UsageError
from stormdesk.model import Verdict, ttl

HELD, UNKNOWN, VIOLATED = Verdict.HELD, Verdict.UNKNOWN, Verdict.VIOLATED


def test_the_worst_verdict_wins_and_none_at_all_is_unknown() -> None:
    assert Verdict.worst() is UNKNOWN
    for three in itertools.product(Verdict, repeat=3):
        worst = Verdict.worst(*three)
        assert worst is (VIOLATED if VIOLATED in three else UNKNOWN if UNKNOWN in three else HELD)


def test_the_most_serious_exit_code_wins() -> None:
    order = [ExitCode(code) for code in (70, 5, 4, 1, 3, 2, 0)]
    for first, second in itertools.combinations(order, 2):
        assert ExitCode.worst(second, first) is first
    assert ExitCode.worst() is ExitCode.HELD


@pytest.mark.parametrize(
    ("hold_s", "asked_s", "cuts", "wanted"),
    [
        (20.0, None, False, 35.0),
        (20.0, 25.0, False, 25.0),
        (20.0, 1800, False, 1800.0),
        (1785.0, None, False, 1800.0),
        (20.0, None, True, 20.0),  # the watchdog is the planned reverter
        (20.0, 20, True, 20.0),
        (300.0, None, True, 300.0),
    ],
)
def test_the_time_to_live(hold_s: float, asked_s: float | None, cuts: bool, wanted: float) -> None:
    got = ttl(hold_s, asked_s, cuts_control=cuts)
    assert got == wanted
    assert isinstance(got, float)


@pytest.mark.parametrize(
    ("hold_s", "asked_s", "cuts", "says"),
    [
        (20.0, 24.9, False, "--ttl 24.9s: must be at least 25s (hold 20s + 5s)"),
        (20.0, 1800.5, False, "--ttl 1800.5s: must be at most 1800s"),
        (1790.0, None, False, "must be at most 1800s; use a shorter --for"),
        (20.0, 19.0, True, "--ttl 19s: must be at least 20s"),
        (20.0, 300.5, True, "must be at most 300s"),
        (301.0, None, True, "must be at most 300s; use a shorter --for"),
    ],
)
def test_a_time_to_live_out_of_range_is_refused(hold_s: float, asked_s: float | None, cuts: bool, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        ttl(hold_s, asked_s, cuts_control=cuts)
    assert says in str(caught.value)
