"""Filling a file system with one file: fallocate is instant and writes nothing; dd works on every file system. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from stormdesk.core.model import Argv, HostFacts
from stormdesk.core.plan import Step


@dataclass(frozen=True)
class Filling:
    """A file of `size` bytes. With `top_up` above 0 it then grows until the file system is full, by at most that many bytes. `probed` is
    removed with it."""

    file: str
    size: int
    top_up: int
    probed: str


@dataclass(frozen=True)
class Fill:
    """One way to fill: `verb` writes it, with tool `name`."""

    name: str
    tools: Argv
    verb: str
    touches: ClassVar[Argv] = ()
    probes: ClassVar[Mapping[str, Argv]] = {}

    def able(self, intent: Filling, facts: HostFacts) -> str:
        return ""

    def steps(self, intent: Filling, facts: HostFacts) -> tuple[Step, ...]:
        do = ("sd_fill", self.verb, intent.file, str(intent.size), str(intent.top_up))
        return (Step(do, (("sd_unlink", intent.file, intent.probed),)),)


# fallocate reserves blocks and writes nothing; on a file system without it, its verb falls back to dd, which writes zeroes.
LADDER = (Fill("fallocate", ("fallocate",), "sd_fallocate"), Fill("dd", ("dd",), "sd_write_zeroes"))
