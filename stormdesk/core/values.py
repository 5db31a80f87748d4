"""Values as typed on the command line: `95%`, `30s`, `200MiB`, `KILL`. Pure.

Each class accepts its own notation or a plain number, and raises UsageError with the value, the allowed range and an example.
The message starts with the value, so that the caller can prefix the flag or the position in a file. All are floats, ints or
strings with a range, safe to copy and compare; `str()` gives the notation back.
"""

from __future__ import annotations

import re
import signal
import sys
from typing import ClassVar, Self

from stormdesk.core.errors import UsageError

if sys.version_info >= (3, 12):
    from typing import override
else:
    from typing_extensions import override

SHOWN = 60  # characters of a bad value that a message shows
NUMBER = r"[0-9]{1,15}(?:\.[0-9]{1,9})?"  # ASCII digits only, short enough to stay finite
NEVER = (0x202A, 0x202E), (0x2066, 0x2069), (0x200E, 0x200F)  # characters that reorder a line on a terminal


def printable(text: str) -> str:
    """The text on one line; characters that are not printable or would reorder the line are escaped."""
    return "".join(c if c.isprintable() and not _reorders(c) else ascii(c)[1:-1] for c in text)


def shown(text: str) -> str:
    """A bad value as messages show it: printable, at most SHOWN characters, `''` when empty."""
    short = text if len(text) <= SHOWN else f"{text[:SHOWN]}… ({len(text)} characters)"
    return printable(short) or "''"


class Value:
    """A mix-in for all of these: `WORD` stands for the value in help texts, errors suggest `example`."""

    WORD: ClassVar[str]
    EXAMPLE: ClassVar[str]


class Percent(Value, float):
    """1..100, as `95`, `95%` or `95.5`."""

    WORD = "PERCENT"
    EXAMPLE = "95"
    LOW: ClassVar[float] = 1
    HIGH: ClassVar[float] = 100

    def __new__(cls, value: str | float) -> Self:
        match = re.fullmatch(rf"({NUMBER}) ?%?", str(value))
        if not match or not cls.LOW <= float(match[1]) <= cls.HIGH:
            raise UsageError(f"{shown(str(value))}: must be {cls.LOW:g}..{cls.HIGH:g} percent, e.g. {cls.EXAMPLE}")
        return super().__new__(cls, match[1])

    @override
    def __str__(self) -> str:
        return f"{float(self):g}"


class Patience(Value, float):
    """A factor for waiting times, 1..100."""

    WORD = "N"
    EXAMPLE = "2"
    LOW: ClassVar[float] = 1
    HIGH: ClassVar[float] = 100

    def __new__(cls, value: str | float) -> Self:
        text = str(value)
        if not re.fullmatch(NUMBER, text) or not cls.LOW <= float(text) <= cls.HIGH:
            raise UsageError(
                f"{shown(text)}: must be a number, {cls.LOW:g}..{cls.HIGH:g}, e.g. {cls.EXAMPLE} for twice as long"
            )
        return super().__new__(cls, text)

    @override
    def __str__(self) -> str:
        return f"{float(self):g}"


class Duration(Value, float):
    """Seconds, as `500ms`, `30s`, `5m`, `2h`; text needs a unit. A plain number means seconds."""

    WORD = "TIME"
    EXAMPLE = "30s"
    LOW: ClassVar[float] = 0.001
    HIGH: ClassVar[float] = 30 * 60.0
    UNITS: ClassVar = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}

    def __new__(cls, value: str | float) -> Self:
        seconds = cls._parse(value) if isinstance(value, str) else float(value)
        if not cls.LOW <= seconds <= cls.HIGH:
            raise UsageError(f"{shown(str(value))}: must be {cls._range()}, e.g. {cls.EXAMPLE}")
        return super().__new__(cls, seconds)

    @classmethod
    def _parse(cls, text: str) -> float:
        match = re.fullmatch(rf"({NUMBER}) ?([a-zA-Z]*)", text)
        if not match:
            raise UsageError(f"{shown(text)}: not a duration. It must be {cls._range()}, e.g. {cls.EXAMPLE}")
        number, unit = match.groups()
        if unit not in cls.UNITS:
            near = f"{number}s" if cls.LOW <= float(number) <= cls.HIGH else cls.EXAMPLE
            raise UsageError(f"{shown(text)}: no unit. Did you mean {near}? (ms, s, m, h; {cls._range()})")
        return float(number) * cls.UNITS[unit]

    @classmethod
    def _range(cls) -> str:
        return f"{duration(cls.LOW)}..{duration(cls.HIGH)}"

    @override
    def __str__(self) -> str:
        return duration(float(self))


class Hold(Duration):
    """How long a fault is held: 1 s to 30 min, less the margin of its time-to-live."""

    LOW = 1.0
    HIGH = 30 * 60.0 - 5.0


class Interval(Duration):
    """How long something lasts that comes again and again: 1 s to 5 min."""

    EXAMPLE = "2s"
    LOW = 1.0
    HIGH = 300.0


class Lifetime(Duration):
    """How long an environment lives: 5 s to 7 days."""

    EXAMPLE = "2h"
    LOW = 5.0
    HIGH = 7 * 24 * 3600.0


class Size(Value, int):
    """Bytes, as `4096B`, `64KiB`, `200MiB`, `2GiB`; text needs a unit. A plain number means bytes."""

    WORD = "SIZE"
    EXAMPLE = "200MiB"
    LOW: ClassVar[int] = 4096
    HIGH: ClassVar[int] = 1 << 44
    UNITS: ClassVar = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}

    def __new__(cls, value: str | int) -> Self:
        count = cls._parse(value) if isinstance(value, str) else int(value)
        if not cls.LOW <= count <= cls.HIGH:
            raise UsageError(f"{shown(str(value))}: must be {cls._range()}, e.g. {cls.EXAMPLE}")
        return super().__new__(cls, count)

    @classmethod
    def _parse(cls, text: str) -> int:
        match = re.fullmatch(rf"({NUMBER}) ?([a-zA-Z]*)", text)
        if not match:
            raise UsageError(f"{shown(text)}: not a size. It must be {cls._range()}, e.g. {cls.EXAMPLE}")
        number, unit = match.groups()
        if unit not in cls.UNITS:
            near = next((known for known in cls.UNITS if unit and known[0] == unit[0].upper()), "MiB")
            raise UsageError(f"{shown(text)}: no unit. Did you mean {number}{near}? (B, KiB, MiB, GiB; {cls._range()})")
        return int(float(number) * cls.UNITS[unit])

    @classmethod
    def _range(cls) -> str:
        return f"{size(cls.LOW)}..{size(cls.HIGH)}"

    @override
    def __str__(self) -> str:
        return size(int(self))


class BitRate(Value, int):
    """Bits per second, as `512kbit`, `10Mbit`, `1Gbit`, in powers of ten; the unit is never optional. A plain number means bits."""

    WORD = "RATE"
    EXAMPLE = "1Mbit"
    LOW: ClassVar[int] = 64_000
    HIGH: ClassVar[int] = 10**11
    UNITS: ClassVar = {"bit": 1, "kbit": 10**3, "mbit": 10**6, "gbit": 10**9}

    def __new__(cls, value: str | int) -> Self:
        count = value
        if isinstance(value, str):
            match = re.fullmatch(rf"({NUMBER}) ?([a-zA-Z]+)", value)
            if not match or match[2].lower() not in cls.UNITS:
                raise UsageError(f"{shown(value)}: not a rate. It must be 64kbit..100Gbit, e.g. {cls.EXAMPLE}")
            count = round(float(match[1]) * cls.UNITS[match[2].lower()])
        if not cls.LOW <= int(count) <= cls.HIGH:
            raise UsageError(f"{shown(str(value))}: must be 64kbit..100Gbit, e.g. {cls.EXAMPLE}")
        return super().__new__(cls, count)

    @override
    def __str__(self) -> str:
        for unit in ("Gbit", "Mbit", "kbit"):
            if self % self.UNITS[unit.lower()] == 0:
                return f"{int(self) // self.UNITS[unit.lower()]}{unit}"
        return f"{int(self)}bit"


class Signal(Value, str):
    """A signal by name, without SIG, in capitals; `9`, `kill` and `SIGKILL` all give `KILL`."""

    WORD = "SIGNAL"
    EXAMPLE = "KILL"
    NAMES: ClassVar = ("KILL", "TERM", "INT", "HUP", "QUIT", "ABRT", "SEGV", "STOP", "USR1", "USR2")

    def __new__(cls, value: str | int) -> Self:
        text = str(value).upper().removeprefix("SIG")
        numbers = {str(signal.Signals[f"SIG{name}"].value): name for name in cls.NAMES}
        name = numbers.get(text, text)
        if name not in cls.NAMES:
            raise UsageError(f"{shown(str(value))}: must be one of {', '.join(cls.NAMES)}, e.g. {cls.EXAMPLE}")
        return super().__new__(cls, name)


class Count(Value, int):
    """An integer, 1..1000000."""

    WORD = "N"
    EXAMPLE = "10"
    LOW: ClassVar[int] = 1
    HIGH: ClassVar[int] = 1_000_000

    def __new__(cls, value: str | int) -> Self:
        text = str(value)
        if not re.fullmatch("-?[0-9]{1,18}", text) or not cls.LOW <= int(text) <= cls.HIGH:
            raise UsageError(f"{shown(str(value))}: must be a whole number, {cls.LOW}..{cls.HIGH}, e.g. {cls.EXAMPLE}")
        return super().__new__(cls, text)

    @override
    def __str__(self) -> str:
        return str(int(self))


class Spare(Count):
    """How many are left free, 0..1000000."""

    EXAMPLE = "0"
    LOW = 0


class Seed(Count):
    """The seed of all randomness; the same seed repeats a run."""

    EXAMPLE = "7"
    LOW = 0
    HIGH = 2**32 - 1


class Share(Count):
    """A part of a role, in percent."""

    WORD = "PERCENT"
    EXAMPLE = "100"
    HIGH = 100


class HostCount(Count):
    """A number of hosts."""

    EXAMPLE = "12"
    HIGH = 1000


class FaultCount(Count):
    """A number of faults."""

    EXAMPLE = "4"
    HIGH = 100


def duration(seconds: float) -> str:
    """`90.0` -> `90s`, `0.5` -> `500ms`, `7200.0` -> `2h`: the largest unit that needs no fraction."""
    if seconds < 1:
        return f"{seconds * 1000:g}ms"
    for unit, length in (("h", 3600), ("m", 60)):
        if seconds >= 2 * length and seconds % length == 0:
            return f"{seconds / length:g}{unit}"
    return f"{seconds:g}s"


def size(count: int) -> str:
    """`209715200` -> `200MiB`: the largest unit that needs no fraction."""
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        if count and count % Size.UNITS[unit] == 0:
            return f"{count // Size.UNITS[unit]}{unit}"
    return f"{count}B"


def _reorders(character: str) -> bool:
    return any(first <= ord(character) <= last for first, last in NEVER)
