"""The share of packets that gets lost on the way to a host and back, in percent, from a flood of pings (iputils). Pure."""

from __future__ import annotations

import re

from stormdesk.core.model import Argv
from stormdesk.witness.evidence import Evidence, tolerance

COUNT = 400
_SUMMARY = re.compile(r"(\d+) packets transmitted, (\d+) (?:packets )?received")


def flood() -> Argv:
    """The command for a peer, without the address: 400 packets in at most three seconds."""
    return ("ping", "-f", "-q", "-c", str(COUNT), "-w", "3")


class Lost:
    """Percent. It agrees within four standard deviations of that many packets; bursts make it less even, so also at half and double."""

    def read(self, code: int, text: str) -> float | None:
        found = _SUMMARY.search(text)
        if not found or not int(found[1]):
            return None
        return 100 * (1 - int(found[2]) / int(found[1]))

    def judge(self, before: float | None, now: float | None, expected: float) -> Evidence:
        if before is None or now is None:
            return Evidence(None, "could not measure its loss", now)
        if before >= expected:
            return Evidence(None, f"lost {before:.1f} % before the fault already", now)
        if abs(now - before - expected) > tolerance(expected, COUNT):
            return Evidence(False, f"loses {now:.1f} %, NOT {expected:g} %", now)
        return Evidence(True, f"loses {now:.1f} % of {COUNT} packets, before {before:.1f} %", now)
