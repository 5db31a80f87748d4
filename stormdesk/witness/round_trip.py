"""The round trip to a host in milliseconds, from the summary of ping (iputils and busybox). Pure."""

from __future__ import annotations

import re

from stormdesk.core.model import Argv
from stormdesk.witness.evidence import Evidence

TOLERANCE_MS = 5.0  # of what is expected, and a fifth of it
_SUMMARY = re.compile(r"min/avg/max(?:/mdev)? = [0-9.]+/([0-9.]+)/")


def pings() -> Argv:
    """The command for a peer, without the address: five in a second."""
    return ("ping", "-q", "-c", "5", "-i", "0.2", "-W", "3")


class RoundTrip:
    """The mean of five. `expected` is by how much it should have grown, in milliseconds."""

    def read(self, code: int, text: str) -> float | None:
        found = _SUMMARY.search(text)
        return float(found[1]) if found else None

    def judge(self, before: float | None, now: float | None, expected: float) -> Evidence:
        if before is None or now is None:
            return Evidence(None, "could not measure the round trip", now)
        more, bound = now - before, TOLERANCE_MS + expected / 5
        if abs(more - expected) > max(bound, expected / 2 if more > expected else 0):
            return Evidence(False, f"sees a round trip that grew BY {more:.1f} ms, not by {expected:g} ms", now)
        return Evidence(True, f"sees a round trip of {now:.1f} ms, before {before:.1f} ms", now)
