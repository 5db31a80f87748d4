"""Rate limits of an interface's egress: a token bucket (tbf), else a class of htb. Pure. Both replace the kernel's default root qdisc;
the undo deletes ours by its handle, and the kernel restores its default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from stormdesk.core.model import Argv, HostFacts
from stormdesk.core.plan import Step
from stormdesk.mechanism.ladder import why_not

HANDLE = "5d00"
MIN_BURST = 3200  # bytes; two full frames
QUEUE_S = 0.2  # how long a packet may wait before it is dropped


@dataclass(frozen=True)
class Limit:
    """The egress limit of an interface, in bits per second."""

    interface: str
    bits: int

    @property
    def burst(self) -> int:
        """The bucket in bytes: 10 ms of the rate, so that a kernel timer of 100 Hz can keep up."""
        return max(MIN_BURST, self.bits // 800)


@dataclass(frozen=True)
class Tbf:
    """A token bucket for all packets."""

    name: ClassVar[str] = "tbf"
    tools: ClassVar[Argv] = ("tc",)
    touches: ClassVar[Argv] = ("link", "qdisc")
    probes: ClassVar[Mapping[str, Argv]] = {
        "tbf": ("sd_qdisc_able", "tbf", "rate", "1mbit", "burst", "3200", "latency", "200ms")
    }

    def able(self, intent: Limit, facts: HostFacts) -> str:
        return why_not(facts, self.name)

    def steps(self, intent: Limit, facts: HostFacts) -> tuple[Step, ...]:
        add = ("tc", "qdisc", "add", "dev", intent.interface, "root", "handle", f"{HANDLE}:", "tbf")
        size = ("rate", f"{intent.bits}bit", "burst", str(intent.burst), "latency", f"{QUEUE_S * 1000:g}ms")
        return (Step((*add, *size), (_gone(intent),)),)


@dataclass(frozen=True)
class Htb:
    """One default class for all packets."""

    name: ClassVar[str] = "htb"
    tools: ClassVar[Argv] = ("tc",)
    touches: ClassVar[Argv] = ("link", "qdisc", "class", "filter")
    probes: ClassVar[Mapping[str, Argv]] = {"htb": ("sd_qdisc_able", "htb", "default", "1")}

    def able(self, intent: Limit, facts: HostFacts) -> str:
        return why_not(facts, self.name)

    def steps(self, intent: Limit, facts: HostFacts) -> tuple[Step, ...]:
        dev = ("dev", intent.interface)
        burst = str(intent.burst)
        size = ("htb", "rate", f"{intent.bits}bit", "burst", burst, "cburst", burst, "quantum", "1514")
        of = ("parent", f"{HANDLE}:", "classid", f"{HANDLE}:1")
        return (
            Step(("tc", "qdisc", "add", *dev, "root", "handle", f"{HANDLE}:", "htb", "default", "1"), (_gone(intent),)),
            Step(("tc", "class", "add", *dev, *of, *size), (("tc", "class", "del", *dev, *of),)),
        )


def _gone(intent: Limit) -> Argv:
    """The removal of our root qdisc. It fails, and changes nothing, when the root is not ours."""
    return ("tc", "qdisc", "del", "dev", intent.interface, "root", "handle", f"{HANDLE}:")


LADDER = (Tbf(), Htb())
