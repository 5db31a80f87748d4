"""Hints for the program that was typed: the code says `invoke` everywhere, and `stormdesk` is shown when that is the program."""

from __future__ import annotations

import re

TYPED = re.compile(r"\binvoke (?=--|doctor\b|demo\b|\w+\.\w)")
_program = "invoke"


def use(program: str) -> None:
    """Show `program` in hints from now on."""
    global _program  # noqa: PLW0603 -- one process is one program
    _program = program


def spoken(text: str) -> str:
    """The text with the commands of that program."""
    return text if _program == "invoke" else TYPED.sub(f"{_program} ", text)
