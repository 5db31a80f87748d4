"""A trading lab, and users who type `invoke` commands for it."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from stormdesk.infra import dialing, existing
from stormdesk.run.record import load
from stormdesk.ssh.pool import Pool
from tests.support import zygote
from tests.support.zygote import Process

STEPS = [
    "S1.intent",
    "S2.armed",
    "S3.acknowledged",
    "S4.injected",
    "S5.confirmed",
    "S6.hold",
    "S7.revert",
    "S8.verified",
    "S9.cleared",
]


class Desk:
    """A lab that trades, and `invoke` on it."""

    def __init__(self, name: str, runs: Path) -> None:
        self.name = name
        self.runs = runs
        inventory = existing.load(name)
        self.pool = Pool(inventory, dialing.dialer(inventory))
        self.started: list[Process] = []

    def start(self, task: str, *words: str) -> Process:
        """`invoke TASK WORDS --json`, started."""
        env = {**os.environ, "STORMDESK_RUNS": str(self.runs), "STORMDESK_ENV": self.name}
        process = zygote.start(task, *words, "--json", env=env)
        self.started.append(process)
        return process

    def invoke(self, task: str, *words: str, code: int = 0) -> dict[str, Any]:
        """The same to its end: its document, and what it said as `stderr`."""
        return self.end(self.start(task, *words), code)

    @staticmethod
    def end(process: Process, code: int, within_s: float = 150) -> dict[str, Any]:
        out, err = process.communicate(timeout=within_s)
        assert process.returncode == code, f"{process.args}: exit {process.returncode}, not {code}\n{out}\n{err}"
        assert "Traceback" not in err
        document: dict[str, Any] = json.loads(out) if out.strip() else {}
        return {**document, "stderr": err}

    def run_started_by(self, process: Process) -> str:
        """The id of the run that a started task is in, once it has one."""

        def mine() -> str:
            for events in self.runs.glob("*/events.jsonl"):
                with contextlib.suppress(IndexError, KeyError):
                    if load(events.parent)[0]["controller"]["pid"] == process.pid:
                        return events.parent.name
            return ""

        return str(eventually(mine, 20))

    def reached(self, run: str, event: str) -> None:
        """Wait until the run has written that event."""
        eventually(lambda: event in [e["event"] for e in load(self.runs / run)], 60)

    def status(self, code: int = 0) -> dict[str, Any]:
        return self.invoke("chaos.status", code=code)

    def records(self) -> dict[str, list[dict[str, Any]]]:
        hosts = self.status()["hosts"]
        return {name: host["runs"] for name, host in hosts.items() if host.get("runs")}

    def sh(self, host: str, text: str) -> str:
        return self.pool.run(host, ("sh", "-c", text), 20).stdout.strip()


def eventually(ask: Callable[[], Any], within_s: float) -> Any:
    """The first true answer; fails after `within_s`."""
    until = time.monotonic() + within_s
    while not (answer := ask()):
        assert time.monotonic() < until, f"not within {within_s} s"
        time.sleep(0.05)
    return answer


@contextmanager
def sat_at(lab: str, runs: Path) -> Iterator[Desk]:
    """A desk at a lab. It must leave no record on any host."""
    desk = Desk(lab, runs)
    with desk.pool:
        yield desk
    assert desk.records() == {}


@pytest.fixture(scope="module")
def desk(lab: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A desk at the lab of this file."""
    with sat_at(lab, tmp_path_factory.mktemp("runs")) as desk:
        yield desk


@pytest.fixture
def tidy(desk: Desk) -> Iterator[None]:
    """A test that fails in the middle leaves nothing to the next one."""
    yield
    left = [process for process in desk.started if process.poll() is None]
    for process in left:
        process.kill()
        process.communicate()
    desk.started.clear()
    if left:
        desk.invoke("chaos.halt")
        desk.invoke("chaos.halt", "--lift")


def events(desk: Desk, run: str) -> list[dict[str, Any]]:
    """What the run has written down."""
    return [dict(event) for event in load(desk.runs / run)]
