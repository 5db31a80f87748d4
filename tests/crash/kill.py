"""One kill: start the real task, wait for the moment, kill, watch the host heal, and read from the records which step was hit."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stormdesk.core.inventory import Inventory
from tests.crash.aims import ALONE, EVENTS, GROUP, SESSION, STATES, Aim
from tests.crash.labhost import LabHost, Picture, connections, session_of
from tests.crash.patient import Patient, boottime, stat

ROOT = Path(__file__).resolve().parents[2]
INVOKE = Path(sys.executable).with_name("invoke")
POLL_S = 0.002
START_S = 90.0  # for the task to reach its moment on a busy machine
ARM_S = 4.0  # a script that was sent just before the kill has begun to arm by then
AFTER_S = 5.0  # past the deadline, a host must be clean
END_S = 60.0  # past the deadline, the engine must have verified that (on a busy machine its own reading takes time)
ENDS = (None, 0, 1, 3, 4, 5)  # exit codes of a controller that outlived its session


@dataclass(frozen=True)
class Lab:
    """The environment under test: its lab's init, its hosts, and how each was before."""

    inventory: Inventory
    pid: int
    hosts: Mapping[str, LabHost]
    baseline: Mapping[str, Picture]


@dataclass
class Killed:
    """What came of one try. `hit` is empty when no kill came of it, and `missed` says why; `problems` must stay empty."""

    aim: Aim
    run_id: str = ""
    hit: str = ""
    missed: str = ""
    at: float = 0.0  # seconds since boot
    watchdog: int = 0  # the one that was killed as well, as the host counts; 0: none was there yet
    seen: bool = False
    clean_after_s: float = 0.0  # past the deadline; negative: before it
    present_after_s: float = 0.0  # past the deadline, the fault was last seen in
    reverted_by: str = ""
    lateness_ms: int = 0
    exit_code: int | None = None  # of a controller that outlived its session
    record: str = ""  # the host's, as last read
    problems: list[str] = field(default_factory=list)


class Killer:
    """Performs one aim on its host. `runs` is where the task keeps its record."""

    def __init__(self, lab: Lab, aim: Aim, inventory: Path, runs: Path) -> None:
        self.lab = lab
        self.inventory = inventory
        self.attack = aim.attack
        self.host = lab.hosts[aim.attack.host]
        self.runs = runs
        self.result = Killed(aim)
        self.patient = Patient(self.host, lab.baseline[self.host.name], aim.attack)
        self._output = runs / f"{self.host.name}.out"
        self._session = -1

    def go(self) -> Killed:
        """Start, kill, wait until the host is clean or must be."""
        env = {**os.environ, "STORMDESK_RUNS": str(self.runs)}
        command = [str(INVOKE), *self.attack.words(str(self.inventory))]
        self.runs.mkdir(parents=True, exist_ok=True)
        with self._output.open("wb") as out:
            task = subprocess.Popen(
                command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
            )
            try:
                self._kill_and_see(task)
            finally:
                if task.poll() is None:
                    os.killpg(task.pid, signal.SIGKILL)
                task.wait(10)
        if self.result.missed:
            self._let_heal()
        if "Traceback" in self._said():
            self.result.problems.append("a traceback")
        self.result.seen, self.result.record = self.patient.seen, self.patient.record
        return self.result

    def _kill_and_see(self, task: subprocess.Popen[bytes]) -> None:
        if not self._moment(task):
            last = self._said().strip().rpartition("\n")[2]
            self.result.missed = f"never came to {self.result.aim.step}: exit code {task.poll()}: {last}"
            return
        try:
            self._strike(task)
        except ProcessLookupError:
            self.result.missed = "what was to be killed ended at that very moment"
            return
        self._settle(task)
        self.result.hit = self._hit()

    def _said(self) -> str:
        return self._output.read_text(errors="replace")

    # ---- the moment --------------------------------------------------------------------------------------------------

    def _moment(self, task: subprocess.Popen[bytes]) -> bool:
        """Wait for the event that the kill is aimed at. False: the task ended, or it took too long."""
        step, kind = self.result.aim.step, self.result.aim.kind
        until = time.monotonic() + START_S
        while time.monotonic() < until and task.poll() is None:
            if not self.result.run_id:
                self._find_run(task.pid)
            elif kind == SESSION and not stat(self._session):
                self._session = self._find_session(task.pid)  # the first one, or the next after a lost connection
            elif self._there(step):
                return True
            else:
                self.patient.look()
            time.sleep(POLL_S)
        return False

    def _find_run(self, pid: int) -> None:
        for folder in self.runs.glob("r-*"):
            if any(event["event"] == "run.started" and event["controller"]["pid"] == pid for event in events(folder)):
                self.result.run_id = self.patient.run_id = folder.name

    def _find_session(self, pid: int) -> int:
        return session_of(self.host, connections(self.lab.pid, pid, self.lab.inventory.hosts[self.host.name].address))

    def _there(self, step: str) -> bool:
        if step in STATES:
            return f" {STATES[step]} " in self.patient.read()
        with contextlib.suppress(OSError):
            written = (self.runs / self.result.run_id / "events.jsonl").read_bytes()
            return f'"event":"{EVENTS[step]}"'.encode() in written
        return False

    def _strike(self, task: subprocess.Popen[bytes]) -> None:
        kind = self.result.aim.kind
        if kind == SESSION:
            os.kill(self._session, signal.SIGKILL)
        elif kind == GROUP:
            os.killpg(task.pid, signal.SIGKILL)
        else:
            assert kind == ALONE
            os.kill(task.pid, signal.SIGKILL)
        self.result.at = boottime()
        self.result.watchdog = self._kill_watchdog()
        self.patient.look(now=True)
        self.patient.deadline = self.patient.deadline or self.result.at + self.attack.ttl_s

    def _kill_watchdog(self) -> int:
        """Kill the watchdog that the aim names, by the pid that it wrote down; 0 where there is none, not yet or not any more."""
        if not self.result.aim.watchdog:
            return 0
        noted = f"/run/stormdesk/{self.result.run_id}/watch.{self.result.aim.watchdog}"
        said = self.host.sh(
            f'read -r one 2>/dev/null <{noted} && [ -n "$one" ] && kill -KILL ${{one%%.*}} 2>/dev/null && echo ${{one%%.*}}; :'
        )
        return int(said or 0)

    # ---- afterwards --------------------------------------------------------------------------------------------------

    def _settle(self, task: subprocess.Popen[bytes]) -> None:
        """See the host become clean, in time; then let the engine come to its own end."""
        result, patient = self.result, self.patient
        while True:
            patient.look(now=True)
            over = self._over(task)
            clean = patient.check() if over or boottime() >= patient.deadline else False
            if over and clean:
                break
            if boottime() > patient.deadline + (END_S if clean else AFTER_S):
                break
            time.sleep(0.1)
        result.clean_after_s = (patient.clean_at or boottime()) - patient.deadline
        result.present_after_s = patient.present_at - patient.deadline
        result.reverted_by = patient.value("reverted_by")
        if result.clean_after_s > AFTER_S:
            result.problems += [f"not clean {AFTER_S:g} s after the deadline: {line}" for line in patient.wrong]
        if result.aim.kind == SESSION:
            self._survivor(task)

    def _let_heal(self) -> None:
        """A task that never came to its moment was ended all the same: before anybody asks the host, its watchdog has its time."""
        self.patient.look(now=True)
        while self.patient.deadline and not self._reverted() and boottime() < self.patient.deadline + AFTER_S:
            time.sleep(0.1)
            self.patient.look(now=True)

    def _reverted(self) -> bool:
        """Is there no record of this run on its host, or one that says so?"""
        return not self.patient.read() or " REVERTED " in self.patient.record

    def _over(self, task: subprocess.Popen[bytes]) -> bool:
        """Can nothing more come of this run? Its record says reverted, or there is none and will be none."""
        if self.result.aim.kind == SESSION and task.poll() is None:
            return self._there("S9")
        if self.patient.read():
            return " REVERTED " in self.patient.record
        return bool(self.patient.record) or boottime() > self.result.at + ARM_S

    def _survivor(self, task: subprocess.Popen[bytes]) -> None:
        """The controller lost its session, not its life: it has to heal the host itself, or to say that it could not."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.result.exit_code = task.wait(max(0.0, self.patient.deadline + AFTER_S - boottime()))
        if self.result.exit_code not in ENDS or (self.result.exit_code is None and not self._there("S9")):
            self.result.problems.append(f"it outlived its session and did not heal, exit code {self.result.exit_code}")

    def _hit(self) -> str:
        """The last step before the kill, by the records: ours from S6 on, the host's until then."""
        kill_t = self.result.at + time.time() - boottime()
        done = events(self.runs / self.result.run_id)
        ours = {event["event"].split(".")[0] for event in done if event["t"] <= kill_t}
        for step in ("S9", "S8", "S7", "S6"):
            if step in ours:
                return step
        steps = {state: step for step, state in STATES.items()} | {"INJECTED": "S4"}
        lines = [line.split(" ", 2) for line in self.patient.record.splitlines() if line.count(" ") >= 2]
        passed = [steps[words[1]] for words in lines if words[1] in steps and int(words[0]) <= self.result.at * 100]
        return max(passed, default="S1")


def events(folder: Path) -> list[dict[str, Any]]:
    """The whole lines of a run record."""
    with contextlib.suppress(OSError):
        return [json.loads(line) for line in (folder / "events.jsonl").read_bytes().split(b"\n")[:-1]]
    return []
