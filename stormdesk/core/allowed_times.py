"""When a runbook may be run: its `windows`, and the `freeze` dates on which it may not. All times are UTC. Pure.

windows: ["Mon-Thu 09:00-17:00", "Sat 22:00-04:00"]     # the second ends on Sunday
freeze: ["2026-12-20..2027-01-05", 2026-11-27]
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
WINDOW = re.compile(r"(?:(\w+)(?:-(\w+))? +)?(\d\d):(\d\d)-(\d\d):(\d\d)(?: +UTC)?")
DATES = re.compile(r"(\d{4}-\d\d-\d\d)(?:\.\.(\d{4}-\d\d-\d\d))?")
DAY_MIN = 24 * 60


@dataclass(frozen=True)
class Window:
    """From `begin` to `end` on these days (0 is Monday), in minutes of the day; an `end` that is not later is on the day after."""

    text: str
    days: tuple[int, ...]
    begin: int
    end: int

    @classmethod
    def of(cls, text: str) -> Window:
        """As it is written. Raises ValueError."""
        found = WINDOW.fullmatch(text)
        if not found:
            raise ValueError(f"{text}: must be days and times in UTC, e.g. Mon-Thu 09:00-17:00")
        first, last, *times = found.groups()
        for day in (first, last):
            if day is not None and day not in DAYS:
                raise ValueError(f"{text}: no day '{day}'. Days: {', '.join(DAYS)}")
        begin_h, begin_min, end_h, end_min = map(int, times)
        begin, end = 60 * begin_h + begin_min, 60 * end_h + end_min
        if max(begin_min, end_min) > 59 or begin >= DAY_MIN or end > DAY_MIN:
            raise ValueError(f"{text}: there is no such time of a day")
        start = DAYS.index(first) if first else 0
        stop = DAYS.index(last or first) if first else 6
        return cls(text, tuple((start + n) % 7 for n in range((stop - start) % 7 + 1)), begin, end)

    def covers(self, t: datetime, until: datetime) -> bool:
        """Is it open all the time from `t` to `until`?"""
        for back in (0, 1):
            day = (t - timedelta(days=back)).date()
            midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
            length = (self.end - self.begin) % DAY_MIN or DAY_MIN
            begin = midnight + timedelta(minutes=self.begin)
            if day.weekday() in self.days and begin <= t and until <= begin + timedelta(minutes=length):
                return True
        return False


@dataclass(frozen=True)
class Freeze:
    """From the first to the last of these days."""

    text: str
    first: date
    last: date

    @classmethod
    def of(cls, text: str) -> Freeze:
        """As it is written. Raises ValueError."""
        found = DATES.fullmatch(text)
        if not found:
            raise ValueError(f"{text}: must be a date or two, e.g. 2026-12-20..2027-01-05")
        try:
            first, last = (date.fromisoformat(each) for each in (found[1], found[2] or found[1]))
        except ValueError as error:
            raise ValueError(f"{text}: {error}") from error
        if last < first:
            raise ValueError(f"{text}: ends before it begins")
        return cls(text, first, last)


def shut(windows: Sequence[Window], freezes: Sequence[Freeze], t: float, for_s: float) -> str:
    """Why it may not be run from `t` (seconds since 1970) for `for_s` seconds; "" if it may."""
    begin = datetime.fromtimestamp(t, UTC)
    end = begin + timedelta(seconds=for_s)
    for freeze in freezes:
        if begin.date() <= freeze.last and end.date() >= freeze.first:
            return f"frozen: {freeze.text}"
    if windows and not any(window.covers(begin, end) for window in windows):
        said = ", ".join(window.text for window in windows)
        return f"outside its windows: from {begin:%a %H:%M} to {end:%a %H:%M} UTC it is not all within {said}"
    return ""
