"""What a bad network does to packets: delay, loss, duplicates, corruption, reordering. One value, and the ways to bring it about. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from stormdesk.core.model import Argv, HostFacts
from stormdesk.core.plan import Step
from stormdesk.mechanism import netfilter, u32
from stormdesk.mechanism.ladder import why_not
from stormdesk.mechanism.netfilter import DROP, Verdict
from stormdesk.mechanism.shaping import HANDLE
from stormdesk.mechanism.traffic import Traffic

_NETEM = "5d01"


@dataclass(frozen=True)
class Impairment:
    """Seconds and percent. `burst` is the mean number of packets that are lost in a row, 0 for each by itself; `correlation` is
    how much a delay is like the one before. Reordered packets are not delayed, so that they overtake the others."""

    delay_s: float = 0.0
    jitter_s: float = 0.0
    correlation: float = 0.0
    distribution: str = "uniform"
    loss: float = 0.0
    burst: float = 0.0
    duplicate: float = 0.0
    corrupt: float = 0.0
    reorder: float = 0.0

    def netem(self) -> str:
        """The words of tc's netem."""
        words: list[str] = []
        if self.delay_s or self.jitter_s:
            words.append(f"delay {_ms(self.delay_s)}")
            if self.jitter_s:
                words.append(f"{_ms(self.jitter_s)} {self.correlation:g}%")
                if self.distribution != "uniform":
                    words.append(f"distribution {self.distribution}")
        if self.burst:
            end = 100 / self.burst
            words.append(f"loss gemodel {end * self.loss / max(1e-9, 100 - self.loss):.4f}% {end:.4f}%")
        elif self.loss:
            words.append(f"loss {self.loss:g}%")
        shares = {"duplicate": self.duplicate, "corrupt": self.corrupt, "reorder": self.reorder}
        words += [f"{name} {share:g}%" for name, share in shares.items() if share]
        return " ".join(words)

    def shim(self) -> Argv:
        """The words of verbs/shim.py."""
        values = {
            "delay": self.delay_s, "jitter": self.jitter_s, "correlation": self.correlation / 100, "loss": self.loss / 100,
            "burst": self.burst, "duplicate": self.duplicate / 100, "corrupt": self.corrupt / 100, "reorder": self.reorder / 100,
            "normal": float(self.distribution == "normal"),
        }  # fmt: skip
        return tuple(f"{name}={value:g}" for name, value in values.items() if value)

    @property
    def only_loses(self) -> bool:
        """Does it lose packets, each by itself, and nothing else?"""
        return self.loss > 0 and self == Impairment(loss=self.loss)


@dataclass(frozen=True)
class Impaired:
    """The packets, what happens to them, and the run's name on the host (netfilter.rules_name)."""

    name: str
    traffic: Traffic
    impairment: Impairment


@dataclass(frozen=True)
class Netem:
    """netem below a class of htb; filters send the selected packets there, all others pass as before."""

    name: ClassVar[str] = "netem"
    tools: ClassVar[Argv] = ("tc",)
    touches: ClassVar[Argv] = ("link", "qdisc", "class", "filter")
    probes: ClassVar[Mapping[str, Argv]] = {
        "netem": ("sd_qdisc_able", "netem", "delay", "1ms"),
        "qdiscs": ("tc", "qdisc", "show"),
    }

    def able(self, intent: Impaired, facts: HostFacts) -> str:
        if why := why_not(facts, self.name):
            return why
        if intent.traffic.directions != ("out",):
            return "it takes what is sent, not what is received"
        if not intent.traffic.interface:
            return "it needs --network or --interface"
        lines = facts.answers["qdiscs"].stdout.splitlines()
        mine = [line for line in lines if f" dev {intent.traffic.interface} root" in line and " 0: " not in line]
        return f"{intent.traffic.interface} already has a root qdisc: {mine[0].strip()}" if mine else ""

    def steps(self, intent: Impaired, facts: HostFacts) -> tuple[Step, ...]:
        dev = f"dev {intent.traffic.interface}"
        lines = [
            f"qdisc add {dev} root handle {HANDLE}: htb",
            f"class add {dev} parent {HANDLE}: classid {HANDLE}:1 htb rate 100gbit quantum 60000",
            f"qdisc add {dev} parent {HANDLE}:1 handle {_NETEM}: netem limit 100000 {intent.impairment.netem()}",
        ]
        # What goes to class 0 passes as before.
        lines += [
            f"filter add {dev} parent {HANDLE}: prio 1 {match} flowid {HANDLE}:0" for match in u32.ssh(intent.traffic)
        ]
        matches = u32.matches(intent.traffic)
        lines += [
            f"filter add {dev} parent {HANDLE}: prio {2 if match.startswith('protocol ip ') else 3} {match} flowid {HANDLE}:1"
            for match in matches
        ]
        undo = ("tc", "qdisc", "del", "dev", intent.traffic.interface, "root", "handle", f"{HANDLE}:")
        return (Step(("sd_tc", *lines), (undo,)),)

    def witness(self, intent: Impaired) -> Argv:
        return ("sd_witness_netem", intent.traffic.interface, _NETEM)

    def resources(self, intent: Impaired) -> Argv:
        return (f"qdisc:{intent.traffic.interface}",)


@dataclass(frozen=True)
class Dropped:
    """Loss alone, by rules that drop a share of the packets. They compose with anything."""

    way: netfilter.Nft | netfilter.Iptables

    @property
    def name(self) -> str:
        return {"nft": "nft-numgen", "iptables": "iptables-statistic"}[self.way.name]

    @property
    def tools(self) -> Argv:
        return self.way.tools

    @property
    def touches(self) -> Argv:
        return self.way.touches

    @property
    def probes(self) -> Mapping[str, Argv]:
        return self.way.probes

    def able(self, intent: Impaired, facts: HostFacts) -> str:
        if not intent.impairment.only_loses:
            return "it loses packets, each by itself, and does nothing else"
        return self.way.able(self._rules(intent), facts)

    def steps(self, intent: Impaired, facts: HostFacts) -> tuple[Step, ...]:
        return self.way.steps(self._rules(intent), facts)

    def witness(self, intent: Impaired) -> Argv:
        return self.way.witness(self._rules(intent))

    def resources(self, intent: Impaired) -> Argv:
        return (f"netfilter:{intent.name}",)

    def _rules(self, intent: Impaired) -> netfilter.Rules:
        return netfilter.Rules(intent.name, intent.traffic, Verdict(DROP, percent=intent.impairment.loss))


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:g}ms"


def losing() -> Sequence[Dropped]:
    """The ways to lose a share of packets."""
    return tuple(Dropped(way) for way in netfilter.ladder(Verdict(DROP, percent=50)))
