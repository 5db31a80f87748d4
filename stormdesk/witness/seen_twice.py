"""The share of answers that come twice, in percent, from ping's count of duplicates (iputils and busybox). Pure."""

from __future__ import annotations

import re

from stormdesk.witness.evidence import Evidence, tolerance
from stormdesk.witness.lost import COUNT

_SUMMARY = re.compile(r"(\d+) packets transmitted, (\d+) (?:packets )?received(?:, \+?(\d+) duplicates)?")


class SeenTwice:
    """Percent of the answers."""

    def read(self, code: int, text: str) -> float | None:
        found = _SUMMARY.search(text)
        if not found or not int(found[2]):
            return None
        return 100 * int(found[3] or 0) / int(found[2])

    def judge(self, before: float | None, now: float | None, expected: float) -> Evidence:
        if before is None or now is None:
            return Evidence(None, "could not count duplicates", now)
        if abs(now - before - expected) > tolerance(expected, COUNT):
            return Evidence(False, f"gets {now:.1f} % twice, NOT {expected:g} %", now)
        return Evidence(True, f"gets {now:.1f} % of the answers twice, before {before:.1f} %", now)
