"""A service's clock by libfaketime, whose file it reads while it runs. Pure.

A real clock is no rung: containers and hosts in namespaces share that of their machine.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from stormdesk.core.model import Argv, HostFacts
from stormdesk.core.plan import Step

MOST_DRIFT_S = 10  # while it is injected and witnessed


@dataclass(frozen=True)
class Skew:
    """A process by its identity, the file with its offset, or `no: <why>`, and what that says now; how far ahead its clock is to be, in
    seconds, or how fast to run, in ppm; how long to stay there, in seconds."""

    identity: str
    file: str
    was: str
    offset_s: float
    ppm: float
    strobe_s: float

    @property
    def word(self) -> str:
        """What the file is to say, of a jump."""
        return f"{self.offset_s:+.3f}"

    @property
    def ours(self) -> str:
        """A pattern of the shell for what it says then; of a drift it changes all the time, and has six decimals."""
        return "[+-]*." + "[0-9]" * 6 if self.ppm else self.word

    @property
    def between(self) -> tuple[str, str]:
        """How many whole seconds ahead the clock is, at least and at most; a drift has just begun."""
        return str(math.floor(self.offset_s) - 1 - MOST_DRIFT_S * bool(self.ppm)), str(
            math.ceil(self.offset_s) + 1 + MOST_DRIFT_S * bool(self.ppm)
        )


@dataclass(frozen=True)
class Faketime:
    """Only processes that were started with the library, and its file, have a clock that can be set."""

    name: ClassVar[str] = "faketime"
    tools: ClassVar[Argv] = ()
    touches: ClassVar[Argv] = ("file", "process")
    probes: ClassVar[Mapping[str, Argv]] = {}

    def able(self, intent: Skew, facts: HostFacts) -> str:
        return intent.file.removeprefix("no: ") if intent.file.startswith("no:") else ""

    def steps(self, intent: Skew, facts: HostFacts) -> tuple[Step, ...]:
        back = ("sd_clock_back", intent.file, intent.was, intent.ours)
        if intent.strobe_s:
            strobe = ("sd_clock_strobe", intent.file, intent.word, intent.was, f"{intent.strobe_s:g}")
            return (Step(strobe, (("sd_background_end", "strobe"), back)),)
        if intent.ppm:
            drift = ("sd_clock_drift", intent.file, str(round(intent.ppm * 10)))
            return (Step(drift, (("sd_background_end", "drift"), back)),)
        return (Step(("sd_clock_jump", intent.file, intent.word), (back,)),)


LADDER = (Faketime(),)
