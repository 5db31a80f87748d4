"""`python -m tests.soak.power_cuts --random 50 --breakpoints 20 --planted 3`: the power of a volume fails while the stack trades.

A sound stack loses no order that the venue has acknowledged, and every judge says held; with a planted bug, or under a fsync that lies,
the run is violated each time. The harness counts lost orders itself, from the venue's journal and the traders' ledgers as they are on
their disks; it shares no code with the judges.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

from tests.conftest import SHORT_TIMERS, trading
from tests.mutants import patching
from tests.support.desk import Desk, eventually, sat_at

TRADERS = ("trader-a", "trader-b")
JOURNAL = "curl -s 'http://10.77.0.11:8081/journal?since=0'"
LEDGER = "cat /var/lib/trading/trader/ledger.jsonl 2>/dev/null; :"
BUGS = (patching.FOLDER / "live" / "fsync-skipped.patch", patching.FOLDER / "ledger-without-fsync.patch")
LIES = "fsync-lies"
HELD, VIOLATED = "held", "violated"
ORDERS = 12  # that are on the disk before anything may be lost: above the floors of the judges
SETTLED_S = 90.0
Say = Callable[[str], None]


@dataclass
class Found:
    """What came of it. `landed` are the cuts that came at their breakpoint, `lost` the acknowledged orders without a line in a ledger."""

    cuts: int = 0
    as_expected: int = 0
    at_breakpoints: int = 0
    landed: int = 0
    accepted: int = 0
    lost: int = 0
    problems: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{self.as_expected} of {self.cuts} cuts as expected, {self.landed} of {self.at_breakpoints} at their breakpoint, "
            f"{self.lost} of {self.accepted} accepted orders lost"
        )


def leader(desk: Desk) -> str:
    """The trader that leads now."""

    def leads(host: str) -> bool:
        said = json.loads(desk.sh(host, "curl -s -m 3 127.0.0.1:8000/health") or "{}")
        return bool(said.get("leader", {}).get("is_leader"))

    return str(eventually(lambda: next((host for host in TRADERS if leads(host)), ""), SETTLED_S))


def orders(desk: Desk) -> tuple[set[str], set[str]]:
    """(ids of all orders that the venue accepted from the traders, ids that a ledger has an INTENT of). The ledgers are read last: an
    order is in one before it is sent."""
    lines = [json.loads(line) for line in desk.sh("venue", JOURNAL).splitlines()]
    accepted = {line["client_order_id"] for line in lines if line["kind"] == "ACCEPTED" and line["account"] == "desk"}
    intended: set[str] = set()
    for host in TRADERS:
        for line in desk.sh(host, LEDGER).splitlines():
            entry = json.loads(line)
            if entry["kind"] == "INTENT":
                intended.add(entry["client_order_id"])
    return accepted, intended


def cut(desk: Desk, host: str, at: str, expected: str, found: Found, repro: str) -> None:
    """One cut while it trades, as a user types it, and its verdict."""
    words = ["--host", host, "--for", "1s", "--allow-irreversible", "--patience", "3", *(("--at", at) if at else ())]
    process = desk.start("chaos.power-cut", *words)
    out, err = process.communicate(timeout=300)
    done: dict[str, Any] = json.loads(out) if out.strip() else {}
    found.cuts += 1
    accepted, intended = orders(desk)
    lost = accepted - intended
    found.accepted, found.lost = len(accepted), len(lost)
    verdict, why = done.get("verdict", "none"), []
    if verdict != expected:
        said = done.get("why") or done.get("error") or err[-300:]
        why.append(f"{verdict}, not {expected} (exit {process.returncode}): {said}")
    if (expected == HELD) == bool(lost):
        why.append(f"{len(lost)} of {len(accepted)} accepted orders lost")
    if at:
        found.at_breakpoints += 1
        over = held(desk, str(done.get("run_id", "")))
        found.landed += over.get("held") is True
        why += [] if over.get("held") is True else [f"not at its breakpoint: {over.get('evidence', 'no record')}"]
    found.as_expected += not why
    found.problems += [f"{repro}: {'; '.join(why)}"] if why else []


def held(desk: Desk, run: str) -> dict[str, Any]:
    """What the run's record says of its breakpoint."""
    try:
        lines = (desk.runs / run / "events.jsonl").read_text().splitlines()
    except OSError:
        return {}
    return next((e for e in map(json.loads, lines) if e["event"] == "breakpoint.over"), {})


@contextmanager
def place() -> Iterator[Desk]:
    """A lab of our own that trades; down at the end."""
    with (
        tempfile.TemporaryDirectory(prefix="stormdesk-cuts-") as folder,
        mock.patch.dict(os.environ, {"STORMDESK_HOME": f"{folder}/home"}),
        trading(f"cuts-{os.getpid()}", "core", SHORT_TIMERS) as lab,
        sat_at(lab, Path(folder) / "runs") as desk,
    ):
        yield desk


def sound(desk: Desk, randoms: Sequence[int], breakpoints: Sequence[int], seed: int, say: Say) -> Found:
    """Cuts at random moments, then between write and fdatasync, of a stack without a bug."""
    found = Found()
    for number in randoms:
        rng = random.Random(f"{seed} random {number}")
        host = leader(desk)
        time.sleep(rng.uniform(0.0, 3.0))
        cut(desk, host, "", HELD, found, f"--seed {seed} random {number} on {host}")
        say(f"random {number} on {host}: {found}")
    for number in breakpoints:
        rng = random.Random(f"{seed} breakpoint {number}")
        host = leader(desk)
        at = f"{host}/trader:fdatasync:{rng.randint(1, 12)}"
        cut(desk, host, at, HELD, found, f"--seed {seed} breakpoint {number} at {at}")
        say(f"breakpoint {number} at {at}: {found}")
    return found


def unsound(desk: Desk, what: str) -> Found:
    """One cut right after the venue has accepted an order, of a stack whose syncs do nothing. It needs a lab of its own: what is lost
    stays lost, and each later run would be violated too."""
    found = Found()
    host = leader(desk)
    eventually(lambda: len(orders(desk)[1]) >= ORDERS, SETTLED_S)
    desk.sh(host, "sync -f /var/lib/trading/trader")
    known = len(orders(desk)[0])
    eventually(lambda: len(orders(desk)[0]) > known + 3, SETTLED_S)
    lying = None
    if what == LIES:
        lying = desk.start("chaos.fsync-lies", "--host", host, "--service", "trader", "--for", "60s")
        desk.reached(desk.run_started_by(lying), "S6.hold")
    cut(desk, host, "venue:accepted:3", VIOLATED, found, what)
    if lying is not None:
        lying.send_signal(signal.SIGTERM)
        lying.communicate(timeout=120)
    return found


def interpreter(root: Path) -> str:
    """The interpreter of a twin of our environment that finds the project at `root`: hosts run services by what is installed."""
    twin = root / ".venv"
    try:
        shutil.copytree(sys.prefix, twin, symlinks=True, copy_function=os.link)
    except shutil.Error:  # on another file system there are no links
        shutil.rmtree(twin)
        shutil.copytree(sys.prefix, twin, symlinks=True)
    (pointer,) = twin.glob("lib/python*/site-packages/_stormdesk.pth")
    pointer.unlink()
    pointer.write_text(f"{root}\n")
    return str(twin / "bin" / "python")


def planted(bug: Path, say: Say) -> Found:
    """The same from a copy of the project that has the bug, in a process of its own: a lab runs the sources that started it."""
    with tempfile.TemporaryDirectory(prefix="stormdesk-planted-") as folder:
        root = Path(folder)
        patching.copy(root)
        patching.read(bug).plant(root)
        words = [interpreter(root), "-m", "tests.soak.power_cuts", "--unsound", bug.stem]
        done = subprocess.run(words, cwd=root, capture_output=True, text=True, timeout=600, check=False)
    try:
        return Found(**json.loads(done.stdout.splitlines()[-1]))
    except (IndexError, ValueError, TypeError):
        say(done.stdout + done.stderr)
        return Found(cuts=1, problems=[f"{bug.stem}: {done.stderr[-300:]}"])


def main() -> int:
    """0 when every cut ended as expected, else 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--random", type=int, default=50)
    parser.add_argument("--breakpoints", type=int, default=20)
    parser.add_argument("--planted", type=int, default=3, help="cuts for each planted bug, and under a fsync that lies")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--unsound", default="", help="one cut of these sources, which have that bug; its result as JSON"
    )
    asked = parser.parse_args()
    if asked.unsound:
        with place() as desk:
            found = unsound(desk, asked.unsound)
        print(json.dumps(vars(found)))
        return 0
    results: dict[str, Found] = {}
    if asked.random or asked.breakpoints:
        with place() as desk:
            results["sound"] = sound(desk, range(asked.random), range(asked.breakpoints), asked.seed, say)
    for number in range(asked.planted):
        for bug in BUGS:
            results[f"{bug.stem} {number}"] = planted(bug, say)
            say(f"{bug.stem} {number}: {results[f'{bug.stem} {number}']}")
        with place() as desk:
            results[f"{LIES} {number}"] = unsound(desk, LIES)
        say(f"{LIES} {number}: {results[f'{LIES} {number}']}")
    problems = [line for found in results.values() for line in found.problems]
    for line in [*problems, *(f"{name}: {found}" for name, found in results.items())]:
        say(line)
    return int(bool(problems))


def say(line: str) -> None:
    """Print a line at once: a long run is watched."""
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
