"""The share of answers that overtake an earlier one, in percent. Pure."""

from __future__ import annotations

from stormdesk.core.model import Argv
from stormdesk.witness.evidence import Evidence

COUNT = 100
# Prints "<answers> <those with a lower number than one before>".
_COUNT = (
    "ping -c 100 -i 0.01 -W 2 \"$1\" | sed -n 's/.*[ :]\\(icmp_\\)\\{0,1\\}seq=\\([0-9]*\\).*/\\2/p' | "
    "awk '{ if ($1 + 0 < most) late++; else most = $1 + 0 } END { print NR, late + 0 }'"
)


def counted() -> Argv:
    """The command for a peer, without the address: 100 packets in one second."""
    return ("sh", "-c", _COUNT, "sh")


class OutOfOrder:
    """Percent of the answers that came after a later one. A packet that overtakes leaves several late ones behind, so the share says
    only whether there is reordering."""

    def read(self, code: int, text: str) -> float | None:
        words = text.split()
        if len(words) != 2 or not all(word.isdigit() for word in words) or not int(words[0]):
            return None
        return 100 * int(words[1]) / int(words[0])

    def judge(self, before: float | None, now: float | None, expected: float) -> Evidence:
        if before is None or now is None:
            return Evidence(None, "could not see the order of packets", now)
        if now <= before:
            return Evidence(False, f"gets {now:.0f} % of the answers OUT OF ORDER, before {before:.0f} %", now)
        return Evidence(True, f"gets {now:.0f} % of the answers out of order, before {before:.0f} %", now)
