"""Reading what hosts print. Pure: text in, values out; an answer that cannot be read raises HostError.

The answers come from stormdesk/host/steps/{facts,status,arm,revert}.sh; each line starts with its kind.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stormdesk.core.errors import HostError
from stormdesk.core.model import UNKNOWN_MACHINE, Argv, Completed, HostFacts, Identity
from stormdesk.core.states import State, row
from stormdesk.host.render import decode_probe


@dataclass(frozen=True)
class RecordLine:
    """One step in a host record. `uptime_cs` is centiseconds since the host's boot."""

    uptime_cs: int
    state: str
    text: str


@dataclass(frozen=True)
class HostRecord:
    """A host's record of one run: the history of its states, and which watchdogs are alive."""

    run_id: str
    base: str
    lines: tuple[RecordLine, ...]
    watchdogs: tuple[str, ...] = ()

    @property
    def state(self) -> str:
        """The last state; STEP lines are remarks. "" for a record without a line."""
        return next((line.state for line in reversed(self.lines) if line.state != "STEP"), "")

    def value(self, key: str) -> str:
        """The last `key=value` in the history, or ""."""
        prefix = f"{key}="
        for line in reversed(self.lines):
            for word in line.text.split():
                if word.startswith(prefix):
                    return word[len(prefix) :]
        return ""

    def at(self, state: str) -> RecordLine | None:
        """The first line with that state."""
        return next((line for line in self.lines if line.state == state), None)

    @property
    def bites(self) -> bool:
        """Whether the fault may have been active: it counts as injected from the first side effect on."""
        return any(row(line.state).bites for line in self.lines)

    @property
    def holds(self) -> bool:
        """Whether the run holds the host: acknowledged, and not verified as reverted. An earlier run will check for others itself."""
        return self.at(State.ACKED) is not None and self.state != State.REVERTED

    @property
    def lateness_ms(self) -> int:
        """Milliseconds past the deadline at which the revert was verified; 0 when before it."""
        return 10 * _int(self.value("late_cs") or "0")


@dataclass(frozen=True)
class HostStatus:
    """Everything of ours on one host. `now_cs` is its centiseconds since boot; `halt` is why it was halted, or ""."""

    now_cs: int
    halt: str
    records: tuple[HostRecord, ...]
    locks: Mapping[str, str]
    identity: Identity = UNKNOWN_MACHINE

    @property
    def empty(self) -> bool:
        return not (self.halt or self.records or self.locks)


def _int(text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise HostError(f"not a number in a host's answer: {text[:80]!r}") from error


def _lines(text: str) -> list[tuple[str, str]]:
    return [(kind, rest) for kind, _, rest in (line.partition(" ") for line in text.splitlines()) if kind]


def record_line(text: str) -> RecordLine:
    """`<centiseconds> <STATE> <text>`."""
    uptime, _, rest = text.partition(" ")
    state, _, said = rest.partition(" ")
    if not uptime.isdigit() or not state:
        raise HostError(f"unreadable line in a host record: {text[:80]!r}")
    return RecordLine(_int(uptime), state, said)


def records(text: str) -> tuple[HostRecord, ...]:
    """All `run`, `watchdog` and `line` lines of an answer."""
    found: list[tuple[str, str, list[RecordLine], list[str]]] = []
    for kind, rest in _lines(text):
        if kind == "run":
            run_id, _, base = rest.partition(" ")
            found.append((run_id, base, [], []))
        elif kind == "line" and found:
            found[-1][2].append(record_line(rest))
        elif kind == "watchdog" and found:
            found[-1][3].append(rest)
    return tuple(HostRecord(run, base, tuple(lines), tuple(dogs)) for run, base, lines, dogs in found)


def uptime_cs(text: str) -> int:
    """The host's centiseconds since boot when it answered, used to convert a record's times to the controller's clock. 0 if missing."""
    said = next((rest for kind, rest in _lines(text) if kind == "uptime"), "0")
    return _int(said.replace(".", "", 1)) if "." in said else 100 * _int(said)


def witnesses(text: str) -> Mapping[int, tuple[int, str]]:
    """Exit code and last words of each command of `render.witnesses`, by its number."""
    found = [(*rest.split(" ", 2), "", "")[:3] for kind, rest in _lines(text) if kind == "witness"]
    return {_int(number): (_int(code), why.strip()) for number, code, why in found}


def refusal(text: str) -> str:
    """The host's text after `refused`, or ""."""
    return next((rest for kind, rest in _lines(text) if kind == "refused"), "")


def status(text: str) -> HostStatus:
    """The answer of status.sh."""
    values = dict(_lines(text))
    if "base" not in values:
        raise HostError(f"unreadable status: {text[:80]!r}")
    locks = {name: run for kind, rest in _lines(text) if kind == "lock" for name, _, run in [rest.partition(" ")]}
    identity = Identity(values.get("boot_id", ""), values.get("pid_namespace", ""))
    return HostStatus(_int(values.get("now", "0")), values.get("halt", ""), records(text), locks, identity)


def facts(host: str, text: str, probes: Mapping[str, Argv]) -> HostFacts:
    """The answer of facts.sh."""
    lines = _lines(text)
    values = dict(lines)
    answers = {}
    for rest in (rest for kind, rest in lines if kind == "probe"):
        name, code, encoded = (*rest.split(" "), "", "")[:3]
        if name not in probes:
            raise HostError(f"{host}: an answer to a question nobody asked: {name[:80]!r}")
        try:
            answers[name] = Completed(probes[name], int(code), decode_probe(encoded))
        except ValueError as error:
            raise HostError(f"{host}: unreadable: probe {rest[:80]}") from error
    if missing := set(probes) - set(answers):
        raise HostError(f"{host}: no answer to {', '.join(sorted(missing))}")
    return HostFacts(
        host=host,
        identity=Identity(values.get("boot_id", ""), values.get("pid_namespace", "")),
        uid=_int(values.get("uid", "-1")),
        marker=_marker(host, values.get("marker", "")),
        marker_text=values.get("marker", ""),
        production="production" in values,
        halted="halted" in values,
        boot_hook="boot_hook" in values,
        no_boot_hook=values.get("no_boot_hook", ""),
        active=sum(kind == "active" for kind, _ in lines),
        tools=frozenset(rest for kind, rest in lines if kind == "tool"),
        answers=answers,
    )


def _marker(host: str, text: str) -> Mapping[str, Any] | None:
    if not text:
        return None
    try:
        marker = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise HostError(f"{host}: /etc/stormdesk.target is not JSON: {error}") from error
    if not isinstance(marker, dict):
        raise HostError(f"{host}: /etc/stormdesk.target is not a JSON object")
    return marker


def look(text: str) -> tuple[tuple[str, ...], int]:
    """The answer of look.sh: the watchdogs that are alive, and 0 if the fault is still in, 1 if not, else anything."""
    said = dict(_lines(text)).get("still", "")
    return tuple(rest for kind, rest in _lines(text) if kind == "watchdog"), _int(said) if said else 255


@dataclass(frozen=True)
class Delta:
    """Whose the changes of a host were, each as `- fact` or `+ fact`: `ours` are the fault's, `side` its side effects, `others`
    everybody else's, and `left` is what should have been undone."""

    ours: tuple[str, ...] = ()
    side: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    left: tuple[str, ...] = ()

    @property
    def back(self) -> tuple[str, ...]:
        """What was put back (`+ fact`) or taken away again (`- fact`)."""
        turned = {"-": "+", "+": "-"}
        changes = [line for line in (*self.ours, *self.side) if line not in self.left]
        return tuple(turned.get(line[0], line[0]) + line[1:] for line in changes)

    def event(self) -> Mapping[str, list[str]]:
        """As the run's record has it."""
        lines = {
            "diff": self.left,
            "ours": self.ours,
            "side_effects": self.side,
            "others": self.others,
            "back": self.back,
        }
        return {name: list(each) for name, each in lines.items()}


NO_DELTA = Delta()


def delta(text: str) -> Delta:
    """From the answer of a revert. Facts are as stormdesk/host/picture/ writes them; what runs down follows a tab, and is left out."""
    lines = [(kind, rest.partition("\t")[0]) for kind, rest in _lines(text)]
    found = {name: tuple(rest for kind, rest in lines if kind == name) for name in ("ours", "side", "others", "left")}
    return Delta(**found)


@dataclass(frozen=True)
class Space:
    """A file system as df sees it for users, in KiB, and its inodes."""

    device: str
    total_kib: int
    used_kib: int
    free_kib: int
    mount: str
    free_inodes: int


def space(df: str, df_inodes: str) -> Space:
    """From `df -Pk PATH` and `df -Pi PATH`; no inodes without the latter."""
    try:
        device, total, used, free, _, mount = df.splitlines()[-1].split(None, 5)
        free_inodes = df_inodes.splitlines()[-1].split()[3] if df_inodes else ""
        return Space(device, int(total), int(used), int(free), mount, int(free_inodes) if free_inodes.isdigit() else 0)
    except (ValueError, IndexError) as error:
        raise HostError(f"unreadable df: {df[-80:]!r}") from error


@dataclass(frozen=True)
class Process:
    """A process with its identity `<pid>.<start time>`."""

    identity: str
    uid: int
    command: str


_REMARKS = ("left-out ", "manager ", "group ", "limit ", "was ", "clock ", "type ")


def left_out(text: str) -> tuple[str, ...]:
    """Which processes `sd_processes` did not take for targets, or what it did not find, each with the reason."""
    return tuple(rest for kind, rest in _lines(text) if kind == "left-out")


def manager(text: str) -> str:
    """The manager that runs the service that `sd_processes` was asked for, or ""."""
    return dict(_lines(text)).get("manager", "")


def remark(text: str, kind: str) -> str:
    """What a verb says of a process besides, e.g. `group <folder>` or `group no: <why>`, of its control group; "" where it does not."""
    return dict(_lines(text)).get(kind, "")


def processes(text: str) -> tuple[Process, ...]:
    """The targets in the answer of `sd_processes`."""
    try:
        lines = [line.split(" ", 2) for line in text.splitlines() if line and not line.startswith(_REMARKS)]
        return tuple(Process(identity, int(uid), command) for identity, uid, command in lines)
    except ValueError as error:
        raise HostError(f"unreadable list of processes: {text[:80]!r}") from error
