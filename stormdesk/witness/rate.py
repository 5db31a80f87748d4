"""A host's egress rate in bits per second, from the summary of a flood ping (iputils). Pure."""

from __future__ import annotations

import re

from stormdesk.core.model import Argv
from stormdesk.witness.evidence import Evidence

PAYLOAD = 1400  # bytes; with headers still one frame on any Ethernet
FRAME = PAYLOAD + 8 + 20 + 14
TOLERANCE = 1.3  # of the limit: the burst passes at once, and half a second is short
SECONDS = 0.5
_SUMMARY = re.compile(r"transmitted, (\d+) (?:packets )?received.* time (\d+)ms", re.DOTALL)


def flood(address: str, expected: float) -> Argv:
    """The command for a peer: enough packets for half a second at `expected` bits per second; it ends after two seconds at most."""
    packets = min(50_000, max(20, round(expected * SECONDS / 8 / FRAME) + 20))
    return ("ping", "-f", "-q", "-c", str(packets), "-l", "30", "-s", str(PAYLOAD), "-w", "2", address)


class Rate:
    """Bits per second of the answers. Without answers, or with a ping that prints no times, there is no measurement."""

    def read(self, code: int, text: str) -> float | None:
        found = _SUMMARY.search(text)
        if not found or not int(found[1]):
            return None
        # ping prints whole milliseconds: 0 is less than one, so the rate is at least that of one.
        return int(found[1]) * FRAME * 8 / (max(1, int(found[2])) / 1000)

    def judge(self, before: float | None, now: float | None, expected: float) -> Evidence:
        if before is None or now is None:
            return Evidence(None, "could not measure its rate", now)
        if before <= expected * TOLERANCE:
            return Evidence(None, f"measured no more than {_words(before)} before the fault", now)
        if now > expected * TOLERANCE:
            return Evidence(False, f"STILL GETS {_words(now)}, not {_words(expected)}", now)
        return Evidence(True, f"gets {_words(now)}, before {_words(before)}", now)


def _words(bits: float) -> str:
    return f"{bits / 1e6:.3g} Mbit/s" if bits >= 1e6 else f"{bits / 1e3:.3g} kbit/s"
