"""A series of kills: one on each host at a time, the engine's own account of them, and floors below which nothing is proven."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from stormdesk.core import inventory as documents
from stormdesk.infra import environment
from stormdesk.infra.backends.lab import records
from tests.crash.aims import CREWS, KINDS, SESSION, STEPS, Aim, Chooser, attacks
from tests.crash.kill import Killed, Killer, Lab
from tests.crash.labhost import LabHost, Picture, hosts_of
from tests.support import zygote

NETWORKS = ("mgmt", "market", "core")
TASK_S = 60.0
STILL_S = 30.0
CLOCK_S = 0.5  # a look is a command on the host: what it saw was so when it began
STEP_SHARE, SEEN_SHARE, FAULT_SHARE = 15 / 200, 60 / 200, 1 / 4  # the last of an even share
WATCHDOG_SHARE = 100 / 200  # there is none before S2, nor after S9
MANY, P99_S = (
    50,
    2.0,
)  # of that many kills, the host is clean this long after the deadline at the latest, but for one in a hundred

MORE = 18  # of a few kills on a busy machine, many hit the step after the one that they were aimed at

# The same services are killed again and again: their guards must be quick, and never give up.
PATIENT = {"guard": {"check_s": 0.5, "verify_s": 10, "backoff_s": [0.5], "attempts": 100_000}}

Say = Callable[[str], None]


@contextmanager
def lab(name: str, say: Say) -> Iterator[Lab]:
    """A lab of our own with the core stack and bystanders on every host; down at the end."""
    inventory = environment.up(name, "core", "lab", "direct", 3600.0, say, PATIENT)
    try:
        pid = records.running(name)
        hosts = {host.name: host for host in hosts_of(pid)}
        for host in inventory.hosts.values():
            links = {link.interface: NETWORKS.index(network) for network, link in host.networks.items()}
            hosts[host.name].plant(host.address, links)
        yield Lab(inventory, pid, hosts, {host.name: _still(host) for host in hosts.values()})
    finally:
        environment.down(name, say)


def _still(host: LabHost) -> Picture:
    """The host's picture once it has stopped changing: what all later ones are compared with."""
    until = time.monotonic() + STILL_S
    before = host.picture()
    while True:
        time.sleep(1.0)
        now = host.picture()
        if not (changed := before.difference(now)):
            return now
        assert time.monotonic() < until, f"{host.name} does not come to rest: {changed}"
        before = now


@dataclass
class Series:
    """The kills that are done, and what was wrong. `runs` is where everything is kept."""

    lab: Lab
    runs: Path
    say: Say
    watchdogs: bool = False  # kill one of the host's watchdogs with each controller
    kills: list[Killed] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    misses: list[str] = field(default_factory=list)  # tries of which no kill came
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _begun: int = 0  # kills that are done or under way
    _tried: int = 0

    def go(self, count: int, seed: int) -> None:
        """Kill `count` times, or up to half as often again (at least MORE) while a floor is missed: each crew in waves of one on
        each host."""
        chooser = Chooser(Random(seed), attacks(self.lab.inventory), watchdogs=self.watchdogs)
        target = count
        while True:
            with ThreadPoolExecutor(len(CREWS)) as threads:
                for crew in [threads.submit(self._crew, hosts, target, chooser) for hosts in CREWS]:
                    crew.result()
            if len(self.kills) < target:
                self.problems.append(f"only {len(self.kills)} kills in {self._tried} tries")
                return
            if not self.short() or target >= count + max(MORE, count // 2):
                return
            target += 2 * len(CREWS)

    def _crew(self, hosts: Sequence[str], count: int, chooser: Chooser) -> None:
        inventory = self.runs / f"{hosts[0]}.json"
        known = self.lab.inventory.hosts
        some = msgspec.structs.replace(self.lab.inventory, hosts={name: known[name] for name in hosts})
        inventory.parent.mkdir(parents=True, exist_ok=True)
        inventory.write_bytes(documents.render(some))
        while aims := self._aims(hosts, count, chooser):
            runs = self.runs / f"{hosts[0]}-{self._tried}"
            killers = [Killer(self.lab, aim, inventory, runs) for aim in aims]
            with ThreadPoolExecutor(len(killers)) as threads:
                done = list(threads.map(Killer.go, killers))
            self._account(done, inventory, runs)
            self._book(done, chooser)

    def _aims(self, hosts: Sequence[str], count: int, chooser: Chooser) -> list[Aim]:
        with self._lock:
            left = max(0, count - self._begun) if self._tried < 2 * count else 0
            aims = [chooser.next(host) for host in hosts[:left]]
            self._begun += len(aims)
            self._tried += len(aims)
            return aims

    def _book(self, done: Sequence[Killed], chooser: Chooser) -> None:
        with self._lock:
            for killed in done:
                aim = killed.aim
                chooser.count(aim.attack.fault, aim.step, aim.kind, -1)
                if killed.hit:
                    chooser.count(aim.attack.fault, killed.hit, aim.kind)
                    self.kills.append(killed)
                else:
                    self._begun -= 1
                    self.misses.append(f"{_named(killed)}: {killed.missed}")
                self.problems += [f"{_named(killed)}: {problem}" for problem in killed.problems]
                self.say(_line(len(self.kills), killed))

    # ---- the engine's account --------------------------------------------------------------------------------------------

    def _account(self, done: Sequence[Killed], inventory: Path, runs: Path) -> None:
        """Ask `chaos.status` who reverted and how late; then `chaos.recover`, after which nothing at all may be left."""
        code, status = self._task("chaos.status", inventory, runs)
        if code != 0:
            self.problems.append(f"{runs.name}: chaos.status ended with {code}")
        for killed in done:
            self._reverter(killed, status["hosts"][killed.aim.attack.host])
        code, recovered = self._task("chaos.recover", inventory, runs)
        if code != 0:
            self.problems.append(f"{runs.name}: chaos.recover ended with {code}: {recovered}")
        for name in status["hosts"]:
            host = self.lab.hosts[name]
            now, before = host.picture(), self.lab.baseline[name]
            left = [*before.difference(now), *(line for line in now.leftovers if line not in before.leftovers)]
            self.problems += [f"{runs.name}: {name} after chaos.recover: {line}" for line in left]

    def _reverter(self, killed: Killed, said: dict[str, Any]) -> None:
        known = next((run for run in said.get("runs", []) if run["run"] == killed.run_id), None)
        if known is None:
            if killed.hit and killed.aim.kind != SESSION and killed.reverted_by and killed.hit not in ("S8", "S9"):
                killed.problems.append("chaos.status does not know of it")
            return
        killed.lateness_ms, killed.reverted_by = known["lateness_ms"], known["reverted_by"]
        if known["state"] != "REVERTED" or known["stuck"] or not known["reverted_by"]:
            killed.problems.append(f"chaos.status: {known['state']}, reverted by {known['reverted_by'] or 'nobody'}")
        if known["lateness_ms"] < 1000 * (killed.present_after_s - CLOCK_S):
            seen = f"the fault was seen in {killed.present_after_s:.1f} s after the deadline"
            killed.problems.append(f"chaos.status: {known['lateness_ms']} ms late, but {seen}")

    def _task(self, name: str, inventory: Path, runs: Path) -> tuple[int, Any]:
        """Run a task; its exit code and its JSON."""
        env = {**os.environ, "STORMDESK_RUNS": str(runs)}
        done = zygote.run(name, "--inventory", str(inventory), "--json", env=env, within_s=TASK_S)
        assert done.stdout.strip(), f"{name}: {done.stderr}"
        return done.returncode, json.loads(done.stdout)

    # ---- the floors ------------------------------------------------------------------------------------------------------

    def short(self) -> list[str]:
        """What too few kills have shown; a series that shows too little has failed."""
        count = len(self.kills)
        found = []
        for step in STEPS:
            hits = sum(killed.hit == step for killed in self.kills)
            if hits < (floor := max(1, int(count * STEP_SHARE))):
                found.append(f"{step} was hit {hits} times, at least {floor} are needed")
        seen = sum(killed.seen for killed in self.kills)
        if seen < (floor := max(1, int(count * SEEN_SHARE))):
            found.append(f"the fault was seen {seen} times, at least {floor} are needed")
        faults = sorted({attack.fault for some in attacks(self.lab.inventory).values() for attack in some})
        floor = int(count * FAULT_SHARE / len(faults))  # a few kills cannot be of every fault
        for fault in faults:
            seen = sum(killed.seen for killed in self.kills if killed.aim.attack.fault == fault)
            if seen < floor:
                found.append(f"{fault} was seen {seen} times, at least {floor} are needed")
        dead = sum(bool(killed.watchdog) for killed in self.kills)
        if self.watchdogs and dead < (floor := max(1, int(count * WATCHDOG_SHARE))):
            found.append(f"{dead} watchdogs were killed, at least {floor} are needed")
        if count >= MANY and self.p99_s() > P99_S:
            found.append(f"p99: clean {self.p99_s():+.1f} s from the deadline, {P99_S:+g} s are allowed")
        return found

    def p99_s(self) -> float:
        """From the deadline to a clean host, in seconds: but for one in a hundred, all were clean by then."""
        late = sorted(killed.clean_after_s for killed in self.kills)
        return late[-(len(late) // 100) - 1] if late else 0.0


def _named(killed: Killed) -> str:
    attack = killed.aim.attack
    return f"{attack.fault} {' '.join(attack.flags)} on {attack.host}, {killed.hit or killed.aim.step} {killed.aim.kind} {killed.run_id}"


def _line(number: int, killed: Killed) -> str:
    by = f", reverted by {killed.reverted_by} {killed.lateness_ms} ms late" if killed.reverted_by else ""
    by += f", watchdog {killed.aim.watchdog} killed" if killed.watchdog else ""
    code = f", exit {killed.exit_code}" if killed.exit_code is not None else ""
    seen = "seen" if killed.seen else "not seen"
    end = "; ".join(killed.problems) or killed.missed or f"clean at deadline {killed.clean_after_s:+.1f} s{by}{code}"
    return f"{number:4} aimed at {killed.aim.step}: {_named(killed)}: {seen}, {end}"


def table(kills: Sequence[Killed]) -> list[str]:
    """Fault by step: kills of each kind, how often the fault was seen, the largest lateness and time to clean."""
    lines = [
        "| fault | step | alone | group | session | seen | host clean, from deadline (s) | by chaos.status (ms late) |",
        "|---|---|--:|--:|--:|--:|--:|--:|",
    ]
    rows: list[tuple[str, str, list[Killed]]] = []
    for fault in sorted({killed.aim.attack.fault for killed in kills}):
        mine = [killed for killed in kills if killed.aim.attack.fault == fault]
        rows += [(fault, step, [killed for killed in mine if killed.hit == step]) for step in STEPS]
    rows.append(("all", "S1-S9", list(kills)))
    for fault, step, cell in rows:
        counts = " | ".join(str(sum(killed.aim.kind == kind for killed in cell)) for kind in KINDS)
        late = max((killed.lateness_ms for killed in cell), default=0)
        clean = f"{max(killed.clean_after_s for killed in cell):+.1f}" if cell else ""
        lines.append(f"| {fault} | {step} | {counts} | {sum(k.seen for k in cell)} | {clean} | {late} |")
    return lines


def document(series: Series) -> dict[str, Any]:
    """All of it for programs."""
    kills = [
        {
            "fault": killed.aim.attack.fault, "host": killed.aim.attack.host, "flags": list(killed.aim.attack.flags),
            "aimed": killed.aim.step, "kind": killed.aim.kind, "hit": killed.hit, "run": killed.run_id, "seen": killed.seen,
            "watchdog": killed.aim.watchdog if killed.watchdog else "",
            "clean_after_s": round(killed.clean_after_s, 2), "reverted_by": killed.reverted_by,
            "lateness_ms": killed.lateness_ms, "exit_code": killed.exit_code, "problems": killed.problems,
            "record": [line for line in killed.record.splitlines() if line],
        }
        for killed in series.kills
    ]  # fmt: skip
    return {"kills": kills, "floors": series.short(), "problems": series.problems, "misses": series.misses}
