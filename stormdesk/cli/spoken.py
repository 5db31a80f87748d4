"""Hints name the command that was typed: the code says `invoke` everywhere, and `stormdesk` is shown where that is the program."""

from __future__ import annotations

import re

TYPED = re.compile(r"\binvoke (?=--|doctor\b|demo\b|\w+\.\w)")
_program = "invoke"


def use(program: str) -> None:
    """From now on, people type `program`."""
    global _program  # noqa: PLW0603 -- one process is one program
    _program = program


def spoken(text: str) -> str:
    """The text as it is shown, with commands as people would type them."""
    return text if _program == "invoke" else TYPED.sub(f"{_program} ", text)
