"""The parts of other services' documents that the orchestrator reads. Pure; other keys are ignored."""

from __future__ import annotations

import msgspec

GATE = "pause: "  # prefix of the reasons of a trader that is paused by command


class Lead(msgspec.Struct, frozen=True):
    """Who leads."""

    is_leader: bool = False
    epoch: int = 0


class Paused(msgspec.Struct, frozen=True):
    """All closed gates."""

    reasons: list[str] = []


class Kill(msgspec.Struct, frozen=True):
    """The kill switch."""

    active: bool = False


class TraderPage(msgspec.Struct, frozen=True):
    """A trader's /health."""

    leader: Lead = Lead()
    paused: Paused = Paused()
    kill_switch: Kill = Kill()

    @property
    def pauses(self) -> list[str]:
        """Why it is paused by command. The orchestrator lifts these pauses, but no other gates."""
        return [reason.removeprefix(GATE) for reason in self.paused.reasons if reason.startswith(GATE)]


class Raised(msgspec.Struct, frozen=True):
    """An alert."""

    id: str
    text: str


class GuardPage(msgspec.Struct, frozen=True):
    """A guard's /health_v2."""

    alerts: list[Raised] = []
