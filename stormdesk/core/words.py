"""Values that are one of a few words, and modes of files, as typed on the command line. Pure."""

from __future__ import annotations

import re
from typing import ClassVar, Self

from stormdesk.core.errors import UsageError
from stormdesk.core.values import Value, shown


class Word(Value, str):
    """One of a few words; letters of either case are taken."""

    WORDS: ClassVar[tuple[str, ...]]

    def __new__(cls, value: str) -> Self:
        known = {word.lower(): word for word in cls.WORDS}
        if value.lower() not in known:
            raise UsageError(f"{shown(value)}: must be one of {', '.join(cls.WORDS)}, e.g. {cls.EXAMPLE}")
        return super().__new__(cls, known[value.lower()])


class Calls(Word):
    """A kind of system calls."""

    WORD = "CALLS"
    EXAMPLE = "sync"
    WORDS = ("read", "write", "sync", "open")


class CallError(Word):
    """What a system call fails with; SHORT: it writes nothing, and answers 0, which is no error."""

    WORD = "ERROR"
    EXAMPLE = "EIO"
    WORDS = ("EIO", "ENOSPC", "EROFS", "EDQUOT", "EACCES", "SHORT")


class Damage(Word):
    """A way to damage a file."""

    WORD = "HOW"
    EXAMPLE = "flip"
    WORDS = ("flip", "cut", "torn", "garbage", "empty", "future")


class FileMode(Value, str):
    """The mode of a file in octal, 3 or 4 digits as `chmod` takes them: `640`, `0000`; three digits are kept."""

    WORD = "MODE"
    EXAMPLE = "000"

    def __new__(cls, value: str | int) -> Self:
        text = str(value)
        if not re.fullmatch("0?[0-7]{3}", text):
            raise UsageError(f"{shown(text)}: must be three octal digits, e.g. {cls.EXAMPLE}")
        return super().__new__(cls, text[-3:])

    @property
    def reads_nothing(self) -> bool:
        """Nobody may read."""
        return not int(self, 8) & 0o444

    @property
    def writes_nothing(self) -> bool:
        """Nobody may write."""
        return not int(self, 8) & 0o222
