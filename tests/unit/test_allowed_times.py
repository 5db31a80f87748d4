"""Windows and freeze dates of a runbook, its roles, and the questions before its lanes."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from stormdesk.core.allowed_times import Freeze, Window, shut
from stormdesk.core.errors import RefusedError, UsageError
from stormdesk.core.runbook import Runbook, parse
from stormdesk.evidence.judges import JUDGES
from stormdesk.faults import FAULTS
from stormdesk.run import consent

LANES = [
    "lanes:",
    "  net: [{fault: noop, host: victim, for: 5s, expect: [{health: witness, key: dor, is: true, after: lift, within: 5s}]}]",
    "  people: [{wait: 3s}, {note: The end}]",
    'roles: {victim: "one:role:trader, ops", witness: trader-b}',
]


def book(*lines: str, lanes: list[str] = LANES) -> Runbook:
    text = "\n".join(["```yaml", "title: T", "rto_s: 60", *lines, *lanes, "```"])
    return parse(text, "book.md", FAULTS, tuple(JUDGES))


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("window", "t", "for_s", "may"),
    [
        ("Mon-Thu 09:00-17:00", "2026-11-26T09:00:00", 10, True),  # a Thursday
        ("Mon-Thu 09:00-17:00 UTC", "2026-11-26T08:59:59", 10, False),
        ("Mon-Thu 09:00-17:00", "2026-11-26T16:59:50", 10, True),
        ("Mon-Thu 09:00-17:00", "2026-11-26T16:59:51", 10, False),  # it would still run when the window shuts
        ("Mon-Thu 09:00-17:00", "2026-11-27T10:00:00", 10, False),
        ("Sat-Mon 10:00-11:00", "2026-11-29T10:30:00", 10, True),
        ("Sat-Mon 10:00-11:00", "2026-12-01T10:30:00", 10, False),
        ("Sat 22:00-04:00", "2026-11-29T03:00:00", 10, True),  # began on Saturday
        ("Sat 22:00-04:00", "2026-11-28T03:00:00", 10, False),
        ("22:00-04:00", "2026-11-25T23:00:00", 10, True),
        ("00:00-24:00", "2026-11-25T23:59:59", 0, True),
    ],
)
def test_a_window_is_open_from_the_start_to_the_end(window: str, t: str, for_s: float, may: bool) -> None:
    why = shut([Window.of(window)], [], at(t), for_s)
    assert (why == "") is may
    assert may or (window in why and why.startswith("outside its windows: from "))


def test_one_open_window_is_enough_and_none_at_all_is_always() -> None:
    two = [Window.of("Mon 09:00-10:00"), Window.of("Tue 09:00-10:00")]
    assert shut(two, [], at("2026-12-01T09:30:00"), 1) == ""
    assert shut([], [], at("2026-12-01T09:30:00"), 1) == ""


@pytest.mark.parametrize(
    ("t", "for_s", "may"),
    [
        ("2026-12-19T23:59:00", 30, True),
        ("2026-12-19T23:59:00", 90, False),
        ("2027-01-05T23:59:59", 0, False),
        ("2027-01-06T00:00:00", 9, True),
    ],
)
def test_nothing_runs_on_the_days_of_a_freeze(t: str, for_s: float, may: bool) -> None:
    freeze = [Freeze.of("2026-11-27"), Freeze.of("2026-12-20..2027-01-05")]
    assert shut([], freeze, at(t), for_s) == ("" if may else "frozen: 2026-12-20..2027-01-05")


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("windows: [Monday]", r"4:11 windows\[0\]: Monday: must be days and times in UTC"),
        ("windows: [Mon-Fry 09:00-17:00]", r"4:11 windows\[0\]: .* no day 'Fry'\. Days: Mon, Tue"),
        ("windows: [Mon 09:00-25:00]", r"4:11 windows\[0\]: .* no such time of a day"),
        ("windows: [Mon 09:00-17:00 CET]", r"4:11 windows\[0\]: .* must be days and times in UTC"),
        ("windows: Mon 09:00-17:00", r"4:10 windows: expected a list"),
        ("freeze: [2026-13-01]", r"4:10 freeze\[0\]: 2026-13-01: "),
        ("freeze: [2026-12-20..2026-12-19]", r"4:10 freeze\[0\]: .* ends before it begins"),
        ("freeze: [soon]", r"4:10 freeze\[0\]: soon: must be a date or two"),
    ],
)
def test_a_mistake_in_the_times_is_an_error_with_its_place(line: str, why: str) -> None:
    with pytest.raises(UsageError, match=rf"^book\.md:{why}"):
        book(line)


def test_times_are_read() -> None:
    found = book("windows: [Mon-Thu 09:00-17:00]", "freeze: [2026-11-27]")
    assert [window.days for window in found.windows] == [(0, 1, 2, 3)]
    assert [freeze.text for freeze in found.freeze] == ["2026-11-27"]


def test_roles_stand_for_targets() -> None:
    found = book()
    assert found.faults[0].hosts == ("one:role:trader", "ops")
    assert found.watched == ["trader-b"]


@pytest.mark.parametrize(
    ("roles", "why"),
    [
        ("roles: [a]", r"7:8 roles: expected names"),
        ("roles: {leader: ops}", r"7:9 roles: 'leader' is no name of a role"),
        ("roles: {Victim: ops}", r"7:9 roles: 'Victim' is no name of a role"),
        ("roles: {victim: one:trader}", r"7:17 roles\.victim: must be a name"),
        ("roles: {victim: ops, witness: ops, third: ops}", r"7:8 roles\.third: is not used"),
        (
            "roles: {victim: ops, witness: role:trader}",
            r"5:64 health: witness is role:trader: health is asked of one host",
        ),
    ],
)
def test_a_mistake_in_the_roles_is_an_error_with_its_place(roles: str, why: str) -> None:
    with pytest.raises(UsageError, match=rf"^book\.md:{why}"):
        book(lanes=[*LANES[:3], roles])


class Said:
    """The questions."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def phase(self, _: str, text: str) -> None:
        self.lines.append(text)


def test_each_lane_is_asked_for_and_one_no_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    said = Said()
    monkeypatch.setattr("sys.stdin", io.StringIO("y\nYES\n"))
    consent.ask(book().schedule, cast(Any, said))
    assert said.lines == [
        "lane net: noop on one:role:trader,ops for 5 s.   Go on? y or n",
        "lane people: wait 3 s; note: The end.   Go on? y or n",
    ]
    for answer in ("y\nn\n", "y\n\n", "y\n"):
        monkeypatch.setattr("sys.stdin", io.StringIO(answer))
        with pytest.raises(RefusedError, match=r"^lane people was not confirmed\. Nothing was changed$"):
            consent.ask(book().schedule, cast(Any, Said()))


def test_without_a_terminal_nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    with pytest.raises(UsageError, match=r"--confirm asks on a terminal"):
        consent.need_terminal()
