"""Offsets and rates of clocks, as typed on the command line: `-5s`, `+1h`, `200ppm`. Pure; see values.py."""

from __future__ import annotations

import re
import sys
from typing import ClassVar, Self

from stormdesk.core.errors import UsageError
from stormdesk.core.values import NUMBER, Value, shown

if sys.version_info >= (3, 12):
    from typing import override
else:
    from typing_extensions import override

YEAR_S = 365 * 86400.0


class Offset(Value, float):
    """Seconds that a clock is ahead, as `+90s`, `-5m`, `1h`, `-2d`; text needs a unit. Never 0, at most ten years. A plain number means
    seconds."""

    WORD = "TIME"
    EXAMPLE = "-5s"
    UNITS: ClassVar = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}

    def __new__(cls, value: str | float) -> Self:
        seconds = cls._parse(value) if isinstance(value, str) else float(value)
        if not 0.001 <= abs(seconds) <= 10 * YEAR_S:
            raise UsageError(f"{shown(str(value))}: must be 1ms..3650d ahead or behind, e.g. {cls.EXAMPLE}")
        return super().__new__(cls, seconds)

    @classmethod
    def _parse(cls, text: str) -> float:
        match = re.fullmatch(rf"([+-]?)({NUMBER}) ?([a-z]+)", text)
        if not match or match[3] not in cls.UNITS:
            raise UsageError(
                f"{shown(text)}: not an offset. It must be 1ms..3650d ahead or behind (ms, s, m, h, d), e.g. {cls.EXAMPLE}"
            )
        return float(match[2]) * cls.UNITS[match[3]] * (-1 if match[1] == "-" else 1)

    @override
    def __str__(self) -> str:
        return f"{float(self):+g}s"


class Ppm(Value, float):
    """Parts per million by which a clock runs fast, or slow below 0, as `200` or `-50ppm`. Never 0, at most half as fast again."""

    WORD = "PPM"
    EXAMPLE = "200"
    MOST: ClassVar[float] = 500_000

    def __new__(cls, value: str | float) -> Self:
        match = re.fullmatch(rf"([+-]?{NUMBER}) ?(?:ppm)?", str(value))
        if not match or not 0.1 <= abs(float(match[1])) <= cls.MOST:
            raise UsageError(f"{shown(str(value))}: must be 0.1..500000 ppm, or below 0, e.g. {cls.EXAMPLE}")
        return super().__new__(cls, match[1])

    @override
    def __str__(self) -> str:
        return f"{float(self):+g}ppm"
