"""The plan of kills: the faults of each host, the nine steps, the three ways to kill, and which combination is due next. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random

from stormdesk.core.fault import Fault
from stormdesk.core.inventory import Inventory
from stormdesk.core.model import Argv
from stormdesk.faults import FAULTS

STEPS = tuple(f"S{number}" for number in range(1, 10))
ALONE, GROUP, SESSION = "alone", "group", "session"
KINDS = (ALONE, GROUP, SESSION)
# The instant of a step. Ours: the line is in events.jsonl. The host's: the state is in its record, /run/stormdesk/<run>/record.
EVENTS: Mapping[str, str] = {
    "S1": "S1.intent",
    "S6": "S6.hold",
    "S7": "S7.revert",
    "S8": "S8.verified",
    "S9": "S9.cleared",
}
STATES: Mapping[str, str] = {"S2": "ARMED", "S3": "ACKED", "S4": "INJECTING", "S5": "CONFIRMED"}
HOLD_S = 2.0


@dataclass(frozen=True)
class Attack:
    """One fault on one host: the task's own flags, and what shows that it is in: a full `disk`, a `link`, a `service`, or what the
    command `look` prints on the host, when the expression `shows` finds something in it."""

    fault: str
    host: str
    flags: tuple[str, ...]
    disk: str = ""
    link: str = ""
    service: str = ""
    look: Argv = ()
    shows: str = ""
    cuts: bool = False

    @property
    def hold_s(self) -> float:
        return 2 * HOLD_S if self.cuts else HOLD_S

    @property
    def ttl_s(self) -> float:
        """The shortest that is allowed; a fault that cuts SSH is held by its watchdog."""
        return self.hold_s if self.cuts else HOLD_S + 5

    def words(self, inventory: str) -> list[str]:
        """The task and its flags; `inventory` is a file."""
        flags = [
            "--for",
            f"{self.hold_s:g}s",
            "--ttl",
            f"{self.ttl_s:g}s",
            "--allow-unsteady",
            "--patience",
            "3",
            *self.flags,
        ]
        return [f"chaos.{self.fault}", "--inventory", inventory, "--host", self.host, *flags]


def _disk(host: str) -> Attack:
    return Attack("disk-full", host, ("--percent", "100"), disk="/var/lib/trading")


def _link(host: str, network: str, link: str) -> Attack:
    return Attack("adapter-down", host, ("--network", network), link=link, cuts=network == "mgmt")


def _kill(host: str, service: str, signal: str) -> Attack:
    return Attack("process-kill", host, ("--service", service, "--signal", signal), service=service)


def _trader(host: str) -> tuple[Attack, ...]:
    links = (_link(host, "mgmt", "eth0"), _link(host, "market", "eth1"), _link(host, "core", "eth2"))
    return (_disk(host), *links, _kill(host, "trader", "KILL"), _kill(host, "trader", "STOP"))


ATTACKS: Mapping[str, Sequence[Attack]] = {
    "trader-a": _trader("trader-a"),
    "trader-b": _trader("trader-b"),
    "feed": (
        _disk("feed"), _link("feed", "mgmt", "eth0"), _link("feed", "market", "eth1"), _kill("feed", "feeder", "KILL")
    ),
    # No full disk: the venue's journal comes first, so it ends, and only its manager brings it back.
    "venue": (_link("venue", "mgmt", "eth0"), _link("venue", "market", "eth1"), _kill("venue", "venue", "STOP")),
    "ops": (_disk("ops"), _link("ops", "core", "eth1"), _kill("ops", "prober", "KILL")),
    "store": (_link("store", "mgmt", "eth0"), _link("store", "core", "eth1")),
}  # fmt: skip


def attacks(inventory: Inventory) -> Mapping[str, Sequence[Attack]]:
    """Those above, and on every host what each other fault of the catalogue gives as its example there."""
    known = {attack.fault for some in ATTACKS.values() for attack in some}
    more = [_example(name, kind, inventory) for name, kind in FAULTS.items() if name not in known]
    return {host: (*some, *(each[host] for each in more if host in each)) for host, some in ATTACKS.items()}


def _example(name: str, kind: type[Fault], inventory: Inventory) -> dict[str, Attack]:
    """The first example on each host."""
    found: dict[str, Attack] = {}
    for each in kind.example(inventory):
        flags = tuple(word for key, value in each.parameters.items() for word in (f"--{key.replace('_', '-')}", value))
        flags += ("--allow-irreversible",) if each.irreversible else ()
        found.setdefault(each.host, Attack(name, each.host, flags, look=each.look, shows=each.shows, cuts=each.cuts))
    return found


# Hosts that are attacked together and share networks; each crew has an inventory of its own, so that a run asks two hosts
# for their steady state and not six: the machine has other things to do, and all of them at once would measure only that.
CREWS = (("trader-a", "feed"), ("trader-b", "venue"), ("ops", "store"))


@dataclass(frozen=True)
class Aim:
    """Where and how the next kill is to hit, and which of the host's two watchdogs (`a`, `b`) is killed with it, "" for none."""

    attack: Attack
    step: str
    kind: str
    watchdog: str = ""

    @property
    def possible(self) -> bool:
        """A fault that cuts SSH leaves no session to kill from its inject to its end."""
        return not (self.attack.cuts and self.kind == SESSION and self.step in ("S5", "S6", "S7", "S8", "S9"))


class Chooser:
    """Spreads the kills evenly over steps, faults, ways and their combinations, by what was really hit so far."""

    def __init__(self, random: Random, attacks: Mapping[str, Sequence[Attack]], *, watchdogs: bool = False) -> None:
        self._random = random
        self._watchdogs = watchdogs
        self._attacks = attacks
        self._faults = len({attack.fault for some in attacks.values() for attack in some})
        self._counts: Counter[object] = Counter()

    def count(self, fault: str, step: str, kind: str, by: int = 1) -> None:
        """A kill is under way (+1), or did not hit what it was aimed at (-1)."""
        for key in (fault, step, kind, (fault, step, kind)):
            self._counts[key] += by

    def next(self, host: str) -> Aim:
        """The most overdue kill that this host can have; it is counted."""
        aims = [Aim(attack, step, kind) for attack in self._attacks[host] for step in STEPS for kind in KINDS]
        self._random.shuffle(aims)
        aim = min((aim for aim in aims if aim.possible), key=self._due)
        self.count(aim.attack.fault, aim.step, aim.kind)
        return replace(aim, watchdog=self._random.choice("ab")) if self._watchdogs else aim

    def _due(self, aim: Aim) -> int:
        fault, step, kind = aim.attack.fault, aim.step, aim.kind
        cells = len(STEPS) * len(KINDS) * self._faults
        return (
            len(STEPS) * self._counts[step] + self._faults * self._counts[fault] + 3 * self._counts[kind]
            + cells * self._counts[fault, step, kind]
        )  # fmt: skip
