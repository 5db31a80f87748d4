"""A host that no longer answers: `ping -c 1` exits with 1. Pure."""

from __future__ import annotations

from stormdesk.core.model import Argv
from stormdesk.witness.evidence import Evidence

ANSWERS, SILENT = 1.0, 0.0


def ping(wait_s: str) -> Argv:
    """The command for a peer, without the address."""
    return ("ping", "-c", "1", "-W", wait_s)


class Unreachable:
    """1: it answers; 0: it does not. Any other exit code means that the witness's own network is broken."""

    def read(self, code: int, text: str) -> float | None:
        return {0: ANSWERS, 1: SILENT}.get(code)

    def judge(self, before: float | None, now: float | None, expected: float) -> Evidence:
        if now is None:
            return Evidence(None, "could not ask")
        if now == ANSWERS:
            return Evidence(False, "STILL GETS AN ANSWER", now)
        if before != ANSWERS:
            return Evidence(None, "got no answer before the fault either", now)
        return Evidence(True, "gets no answer", now)
