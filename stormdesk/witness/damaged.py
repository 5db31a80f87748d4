"""The share of answers whose content is not what was sent, in percent, as ping sees it (iputils). Pure."""

from __future__ import annotations

from stormdesk.core.model import Argv
from stormdesk.witness.evidence import Evidence, tolerance

COUNT = 200
# Prints "<packets> <those damaged>". Raw sockets get packets whose checksum is wrong, too; ping compares the content.
_COUNT = (
    'ping -c 200 -i 0.005 -s 1000 -W 1 "$1" | '
    "awk '/wrong data|BAD CHECKSUM/ { bad++ } / packets transmitted/ { print $1, bad + 0 }'"
)


def counted() -> Argv:
    """The command for a peer, without the address: 200 packets in one second."""
    return ("sh", "-c", _COUNT, "sh")


class Damaged:
    """Percent of the packets. A ping that looks at no content (busybox) sees none, which proves nothing."""

    def read(self, code: int, text: str) -> float | None:
        words = text.split()
        if len(words) != 2 or not all(word.isdigit() for word in words) or not int(words[0]):
            return None
        return 100 * int(words[1]) / int(words[0])

    def judge(self, before: float | None, now: float | None, expected: float) -> Evidence:
        if before is None or now is None or not now:
            return Evidence(None, "saw no damaged packet: its ping may not look at their content", now)
        if abs(now - before - expected) > tolerance(expected, COUNT):
            return Evidence(False, f"gets {now:.1f} % damaged, NOT {expected:g} %", now)
        return Evidence(True, f"gets {now:.1f} % of {COUNT} packets damaged, before {before:.1f} %", now)
