"""Using up space on a file system with one file: fallocate is at once and writes nothing; dd works on every file system."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from stormdesk.core.model import Argv, HostFacts
from stormdesk.core.plan import Step


@dataclass(frozen=True)
class Filling:
    """A file of `size` bytes; with `top_up` above 0 it then grows until the file system refuses, by at most that many bytes.
    `probed` is removed with it."""

    file: str
    size: int
    top_up: int
    probed: str


@dataclass(frozen=True)
class Fallocate:
    """Blocks are reserved, not written. Where the file system turns out to know no fallocate, the verb goes on with dd."""

    name: ClassVar[str] = "fallocate"
    tools: ClassVar[Argv] = ("fallocate",)
    touches: ClassVar[Argv] = ()
    probes: ClassVar[Mapping[str, Argv]] = {}

    def able(self, intent: Filling, facts: HostFacts) -> str:
        return ""

    def steps(self, intent: Filling, facts: HostFacts) -> tuple[Step, ...]:
        return _steps("sd_fallocate", intent)


@dataclass(frozen=True)
class Dd:
    """Zeroes are written."""

    name: ClassVar[str] = "dd"
    tools: ClassVar[Argv] = ("dd",)
    touches: ClassVar[Argv] = ()
    probes: ClassVar[Mapping[str, Argv]] = {}

    def able(self, intent: Filling, facts: HostFacts) -> str:
        return ""

    def steps(self, intent: Filling, facts: HostFacts) -> tuple[Step, ...]:
        return _steps("sd_write_zeroes", intent)


def _steps(way: str, intent: Filling) -> tuple[Step, ...]:
    do = ("sd_fill", way, intent.file, str(intent.size), str(intent.top_up))
    return (Step(do, (("sd_unlink", intent.file, intent.probed),)),)


LADDER = (Fallocate(), Dd())
