"""What is said of a run of the list. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Result:
    """One case: `why` is "" when it held. `expected`: the reason it was known to fail for, "" for no such reason."""

    case: str
    seconds: float
    why: str = ""
    expected: str = ""

    @property
    def good(self) -> bool:
        """Whether the list may be called passed: it held, or failed as announced."""
        return not self.why or bool(self.expected)

    @property
    def word(self) -> str:
        if not self.why:
            return f"held, although it was expected to fail: {self.expected}" if self.expected else "held"
        return f"fails as expected: {self.expected}" if self.expected else f"FAILED: {self.why}"


def rows(results: Sequence[Result]) -> Iterator[str]:
    """The table for a terminal."""
    width = max((len(it.case) for it in results), default=0)
    for it in results:
        yield f"{it.case:<{width}}  {it.seconds:5.0f} s  {it.word}"
    held = sum(not it.why for it in results)
    told = sum(bool(it.why and it.expected) for it in results)
    yield f"{held} of {len(results)} held, {told} failed as expected, {len(results) - held - told} failed"


def markdown(results: Sequence[Result], how: str) -> Iterator[str]:
    """A section for docs/measured.md. `how`: what it ran on, one sentence."""
    yield "## A real Debian machine (`invoke dev.vm`)"
    yield ""
    yield how
    yield ""
    yield "| case | result | seconds |"
    yield "|---|---|--:|"
    for it in results:
        yield f"| {it.case} | {it.word.replace('|', '/')} | {it.seconds:.0f} |"
