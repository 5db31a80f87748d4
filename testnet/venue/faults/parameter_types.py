"""Parameter types of the venue's faults. Pure."""

from __future__ import annotations

import re
import sys
from typing import ClassVar, Self

from stormdesk.core.errors import UsageError
from stormdesk.core.values import Duration, Value, shown

if sys.version_info >= (3, 12):
    from typing import override
else:
    from typing_extensions import override


class Choice(Value, str):
    """One of several words."""

    NAMES: ClassVar[tuple[str, ...]]

    @override
    def __init_subclass__(cls) -> None:
        cls.WORD = "|".join(cls.NAMES)
        cls.EXAMPLE = cls.NAMES[0]

    def __new__(cls, value: str) -> Self:
        if value not in cls.NAMES:
            raise UsageError(f"{shown(value)}: must be one of {', '.join(cls.NAMES)}, e.g. {cls.EXAMPLE}")
        return super().__new__(cls, value)


class Scope(Choice):
    """Which requests: those that change orders, those for the account's balances, all signed ones, all."""

    NAMES = ("orders", "account", "signed", "all")


class Lateness(Duration):
    """A time that may be none: `0s`."""

    LOW = 0.0


class Offset(Value, float):
    """Seconds by which a clock is ahead; negative: behind. `5s`, `-500ms`."""

    WORD = "[-]TIME"
    EXAMPLE = "-5s"

    def __new__(cls, value: str | float) -> Self:
        match = re.fullmatch(r"(-?)(.*)", str(value) if isinstance(value, str) else f"{value:g}s", re.DOTALL)
        assert match is not None
        seconds = float(Duration(match[2]))
        return super().__new__(cls, -seconds if match[1] else seconds)

    @override
    def __str__(self) -> str:
        return ("-" if self < 0 else "") + str(Duration(abs(float(self))))
