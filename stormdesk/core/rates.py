"""How fast a disk is, as typed on the command line. Pure."""

from __future__ import annotations

import sys
from typing import Self

from stormdesk.core.values import Count, Size

if sys.version_info >= (3, 12):
    from typing import override
else:
    from typing_extensions import override


class ByteRate(Size):
    """Bytes per second, as `64KiB/s`, `10MiB/s`; `/s` may be left out. A plain number means bytes per second."""

    WORD = "RATE"
    EXAMPLE = "1MiB/s"
    LOW = 16 << 10
    HIGH = 256 << 20

    def __new__(cls, value: str | int) -> Self:
        return super().__new__(cls, value.removesuffix("/s") if isinstance(value, str) else value)

    @override
    def __str__(self) -> str:
        return f"{super().__str__()}/s"


class OperationRate(Count):
    """Reads or writes per second, 2..10000."""

    EXAMPLE = "100"
    LOW = 2
    HIGH = 10_000
