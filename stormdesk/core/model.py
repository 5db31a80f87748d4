"""The values that travel through Stormdesk besides plans: facts of a host, answers of commands, verdicts. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from stormdesk.core.clocks import UNMEASURED, Ahead

Argv = tuple[str, ...]


class Verdict(StrEnum):
    """What a check or a run says. Silence is `unknown`, never a pass."""

    HELD = "held"
    UNKNOWN = "unknown"
    VIOLATED = "violated"

    @staticmethod
    def worst(*verdicts: Verdict) -> Verdict:
        """The most serious; with none at all nothing is known."""
        for verdict in (Verdict.VIOLATED, Verdict.UNKNOWN, Verdict.HELD):
            if verdict in verdicts:
                return verdict
        return Verdict.UNKNOWN


@dataclass(frozen=True)
class Completed:
    """What a command on a host answered."""

    argv: Argv
    code: int
    stdout: str
    stderr: str = ""

    @property
    def ok(self) -> bool:
        return self.code == 0


@dataclass(frozen=True)
class Identity:
    """Which kernel and which pid namespace a host is; equal to the controller's means: it is the controller's own host."""

    boot_id: str
    pid_namespace: str


UNKNOWN_MACHINE = Identity("", "")


@dataclass(frozen=True)
class HostFacts:
    """What one round trip of reading found. `answers` holds one Completed per probe the fault asked for."""

    host: str
    identity: Identity
    uid: int
    marker: Mapping[str, object] | None
    marker_text: str
    production: bool
    halted: bool
    boot_hook: bool
    tools: frozenset[str]
    active: int  # runs that are in on this host right now
    answers: Mapping[str, Completed] = field(default_factory=dict)
    no_boot_hook: str = ""  # why the host has none
    ahead: Ahead = UNMEASURED  # the host's time since boot, compared with the controller's monotonic clock


@dataclass(frozen=True)
class CheckResult:
    """What one check said. `why` is one line; `took_s` in seconds; `sources` counts what it read."""

    id: str
    verdict: Verdict
    why: str
    took_s: float = 0.0
    sources: Mapping[str, int] = field(default_factory=dict)

    @property
    def check(self) -> str:
        """Its id without the host: `I-05` of `I-05[trader-a]`."""
        return self.id.partition("[")[0]
