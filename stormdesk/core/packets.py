"""Values that select packets, as typed on the command line: `8000-8010,9000`, `tcp`, `both`. Pure."""

from __future__ import annotations

import ipaddress
import re
from typing import ClassVar, Self

from stormdesk.core.errors import UsageError
from stormdesk.core.values import Count, Duration, Value, shown
from stormdesk.core.words import Word


class Ports(Value, str):
    """At most 15 ports or ranges of ports, as `8443`, `8000-8010,9000`."""

    WORD = "PORTS"
    EXAMPLE = "8443"
    MOST: ClassVar[int] = 15  # ports of one rule of iptables' multiport; a range counts as two
    HIGH: ClassVar[int] = 65535

    def __new__(cls, value: str | int) -> Self:
        text = str(value).replace(" ", "")
        parts = text.split(",")
        if not all(cls._is_part(part) for part in parts) or sum(1 + ("-" in part) for part in parts) > cls.MOST:
            raise UsageError(
                f"{shown(str(value))}: must be at most {cls.MOST} ports 1..{cls.HIGH} or ranges, e.g. {cls.EXAMPLE} or 8000-8010,9000"
            )
        return super().__new__(cls, text)

    @classmethod
    def _is_part(cls, part: str) -> bool:
        found = re.fullmatch(r"([0-9]{1,5})(?:-([0-9]{1,5}))?", part)
        if not found:
            return False
        low, high = int(found[1]), int(found[2] or found[1])
        return 1 <= low <= high <= cls.HIGH

    @property
    def parts(self) -> tuple[str, ...]:
        """The ports and ranges, e.g. ("8000-8010", "9000")."""
        return tuple(self.split(","))

    def cover(self, port: str) -> bool:
        """Is the port, a number, one of them?"""
        ranges = ((part.partition("-")[0], part.rpartition("-")[2]) for part in self.parts)
        return any(int(low) <= int(port) <= int(high) for low, high in ranges)


class Protocol(Word):
    """A protocol on top of IP."""

    WORD = "PROTOCOL"
    EXAMPLE = "tcp"
    WORDS = ("tcp", "udp", "icmp")


class Direction(Word):
    """Packets that the host sends, receives, or both."""

    WORD = "DIRECTION"
    EXAMPLE = "both"
    WORDS = ("in", "out", "both")


class PacketSize(Count):
    """Bytes of a packet with its IP header."""

    WORD = "BYTES"
    EXAMPLE = "1400"
    LOW = 68
    HIGH = 9000


class Burst(Count):
    """Packets in a row."""

    EXAMPLE = "5"
    LOW = 2
    HIGH = 1000


class Delay(Duration):
    """How late a packet is: 100 us to 60 s."""

    EXAMPLE = "100ms"
    LOW = 0.0001
    HIGH = 60.0
    UNITS: ClassVar = {"us": 1e-6, **Duration.UNITS}


class Distribution(Word):
    """Of random values."""

    WORD = "DISTRIBUTION"
    EXAMPLE = "normal"
    WORDS = ("uniform", "normal")


def network_of(text: str) -> str:
    """An IPv4 or IPv6 address or network in its usual form, or "" for text that is none. Bits of the host part are cut off."""
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return ""
    return str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network)
