"""`python -m tests.soak.run --holds 100 --leftovers 40`: an operator works on a host around short holds, and what he did is kept.

The harness has its own picture of the host (`tests/crash/labhost.py`). A hold is false dirty when the run does not say clean
though only the operator changed something; a leftover is missed when the run says clean though its undo did nothing.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

from stormdesk.cli.api import Chaos, Injection
from stormdesk.core.errors import RefusedError, StormdeskError, TransportError
from stormdesk.core.plan import Step
from stormdesk.core.safety import Allow
from stormdesk.faults.noop import Noop
from stormdesk.infra import environment
from stormdesk.infra.backends.lab import records
from stormdesk.run import hostrun, prepare
from stormdesk.run.hostrun import HostRun
from stormdesk.run.record import Record
from stormdesk.ssh import patience
from tests.cases.planning import changed
from tests.crash.labhost import LabHost, hosts_of
from tests.soak.leftovers import CLEAN, STEPS, Leftover
from tests.soak.operators import AROUND, BEFORE, DURING, Act, shift

HOST = "ops"
FAULTS = (
    ("disk-full", {"size": "20MiB"}),
    ("adapter-down", {"network": "core"}),
    ("process-kill", {"service": "prober", "signal": "STOP", "rto": "3s"}),
    ("net-bandwidth", {"network": "core"}),
)
# Tables without a rule.
EMPTY = re.compile(r"text (ip6?tables-save: (\*|:\w+ ACCEPT|COMMIT)|nft list ruleset: (table|\tchain|\t\ttype|\t?\}))")
# Looking makes tables of netfilter, and the first mount of all makes /run/mount: no operator's doing, nor a fault's.
SEEN = """
for tables in iptables ip6tables; do $tables -w 5 -S >/dev/null; $tables -w 5 -t nat -S >/dev/null; done
mount -t tmpfs seen /mnt
umount /mnt
"""
HOLD_S = 1.0
REVERT_S = 10.0  # a revert that does not verify is tried for no longer
TTL_S, PATIENCE = 120.0, 4.0  # a busy machine is no finding
STILL_S = 5.0
TRIES = 4
ALLOWED = Allow(role_share=100, unsteady=True)
Say = Callable[[str], None]


@dataclass
class Found:
    """What came of it: counts, and one line with its repro for each failure."""

    holds: int = 0
    kept: int = 0
    false_dirty: int = 0
    leftovers: int = 0
    seen: int = 0
    problems: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{self.kept} of {self.holds} holds kept, {self.false_dirty} false dirty; "
            f"{self.seen} of {self.leftovers} leftovers seen"
        )


@contextmanager
def place(say: Say) -> Iterator[tuple[str, LabHost]]:
    """A lab of our own, and its host seen from the machine; down at the end."""
    name = f"soak-{os.getpid()}"
    environment.up(name, "core", "lab", "direct", 7200.0, say)
    try:
        yield name, next(host for host in hosts_of(records.running(name)) if host.name == HOST)
    finally:
        environment.down(name, say)


def facts(host: LabHost) -> frozenset[str]:
    """The host by the harness's own picture; an edit by `sed -i` makes a new inode, so /etc/hosts counts by its content."""
    shown = {fact for fact in host.picture().facts if not fact.startswith("file etc/hosts ") and not EMPTY.match(fact)}
    return frozenset({*shown, f"hosts {sorted(host.path('/etc/hosts').read_text().splitlines())}"})


def differences(host: LabHost, before: frozenset[str]) -> list[str]:
    """What is not as before, once it has had its time to settle."""
    until = time.monotonic() + STILL_S
    while (now := facts(host)) != before and time.monotonic() < until:
        time.sleep(0.2)
    return [*(f"- {fact}" for fact in sorted(before - now)), *(f"+ {fact}" for fact in sorted(now - before))]


def try_sh(host: LabHost, text: str) -> str:
    """ "" where the host did it, else what it said."""
    try:
        host.sh(text)
    except AssertionError as error:
        return str(error) or text
    return ""


def hold(chaos: Chaos, host: LabHost, number: int, seed: int, found: Found) -> None:
    """One hold with the operator at work."""
    rng = random.Random(f"{seed} {number}")
    fault, parameters = FAULTS[number % len(FAULTS)]
    acts = shift(rng, number)
    repro = f"--seed {seed} --only {number}: {fault} with {', '.join(f'{act.name} {when}' for when, act in acts)}"
    before = facts(host)
    for act in (act for _, act in acts if act.first):
        host.sh(act.first)
    said = do(host, acts, BEFORE)
    late = threading.Timer(rng.uniform(0, 0.6), lambda: said.extend(do(host, acts, AROUND)))
    try:
        with begun(chaos, host, fault, parameters) as injection:
            time.sleep(rng.uniform(0, HOLD_S / 2))
            said += do(host, acts, DURING)
            late.start()
        late.join()
        clean = injection.outcome is not None and injection.outcome.residue == "clean"
        why = "" if clean else str(injection.outcome and injection.outcome.why)
    except StormdeskError as error:
        why = str(error)
    with suppress(RuntimeError):
        late.join()
    found.holds += 1
    lost = [*said, *(f"{act.name} {when} was not kept" for when, act in acts if try_sh(host, act.kept))]
    if why:
        found.false_dirty += 1
        found.problems.append(f"{repro}: {why[:400]}")
    found.kept += not lost
    for _, act in acts:
        lost += [line for line in [try_sh(host, act.back)] if line and not why]
    left = differences(host, before)
    found.problems += [f"{repro}: {line[:300]}" for line in [*lost, *left[:4]]]
    if why or left:
        heal(chaos, host)


@contextmanager
def begun(chaos: Chaos, host: LabHost, fault: str, parameters: dict[str, str]) -> Iterator[Injection]:
    """The fault, injected. What a busy host refuses, or does not answer in time, touches nothing: it is asked again, with the service
    up that its manager may have given up."""
    for left in reversed(range(TRIES)):
        with ExitStack() as stack:
            try:
                injection = stack.enter_context(
                    chaos.inject(fault, host=HOST, hold_s=HOLD_S, ttl_s=TTL_S, allow=ALLOWED, **parameters)
                )
            except (RefusedError, TransportError) as error:
                say(f"not injected: {error}")
                if not left:
                    raise
                time.sleep(STILL_S)
                host.sh("supervisorctl status prober | grep -q RUNNING || supervisorctl start prober; :")
                continue
            yield injection
            return


def do(host: LabHost, acts: list[tuple[str, Act]], moment: str) -> list[str]:
    """Do what the operator does at this moment; what he could not do."""
    tried = [(act, try_sh(host, act.do)) for when, act in acts if when == moment]
    return [f"{act.name} {moment} failed: {error[:200]}" for act, error in tried if error]


def heal(chaos: Chaos, host: LabHost) -> None:
    """After a failure: no record of ours may be left to the next hold."""
    with suppress(StormdeskError):
        chaos.pool.drop(HOST)
    host.sh("for each in /run/stormdesk/r-*; do [ ! -d $each ] || rm -rf $each; done; rm -rf /run/stormdesk/lock.*")
    time.sleep(3.0)  # watchdogs whose record is gone undo from memory, and end


def leftover(chaos: Chaos, host: LabHost, number: int, folder: Path, found: Found) -> None:
    """One fault whose undo does nothing: the run must not say that the host is clean, until somebody repaired it."""
    each: Leftover = STEPS[number]
    host.sh(CLEAN)
    host.sh(each.first)
    before = facts(host)
    run_id = f"r-20261128-{number:04d}-left"
    (known,) = prepare.prepare(chaos.pool, Noop(), [chaos.inventory.host(HOST)], run_id, 5.0, TTL_S, ALLOWED)
    plan = changed(
        known.plan, steps=(Step(("sh", "-c", each.do), (("true",),)),), touches=each.touches, files=each.files,
        baseline=(), witness=("echo", "it is in"), resources=(f"left:{number}",),
    )  # fmt: skip
    run = HostRun(plan, known.facts, chaos.pool, Record(folder / run_id, run_id))
    found.leftovers += 1
    error = ""
    with mock.patch.object(hostrun, "REVERT_PATIENCE_S", 0.5):
        try:
            run.arm(inject=True)
            run.revert()
        except StormdeskError as problem:
            error = str(problem)
        # The revert puts back by its pictures what only the kernel takes: that is no leftover any more.
        if (error and run.clean is False) or not (error or differences(host, before)):
            found.seen += 1
        else:
            found.problems.append(f"leftover {number} ({each.name}): not seen{': ' + error if error else ''}")
        host.sh(f"{CLEAN}\n{each.first}")
        if (why := run.heal()) is not None:
            found.problems.append(f"leftover {number} ({each.name}): not clean after its repair: {str(why)[:300]}")
            heal(chaos, host)
    host.sh(CLEAN)


@contextmanager
def patient() -> Iterator[None]:
    """The controller's limits, for a busy machine."""
    patience.use(PATIENCE)
    try:
        yield
    finally:
        patience.use(1.0)


def go(holds: range, leftovers: range, seed: int, say: Say) -> Found:
    """All of it in one lab."""
    found = Found()
    with (
        tempfile.TemporaryDirectory(prefix="stormdesk-soak-") as folder,
        mock.patch.dict(os.environ, {"STORMDESK_HOME": f"{folder}/home", "STORMDESK_RUNS": f"{folder}/runs"}),
        patient(),
        place(say) as (name, host),
        Chaos(env=name) as chaos,
        mock.patch.object(hostrun, "REVERT_PATIENCE_S", REVERT_S),
    ):
        host.sh(SEEN)
        for number in holds:
            told = len(found.problems)
            hold(chaos, host, number, seed, found)
            say("\n".join([f"hold {number}: {found}", *found.problems[told:]]))
        for number in leftovers:
            told = len(found.problems)
            leftover(chaos, host, number, Path(folder), found)
            say("\n".join([f"leftover {number}: {found}", *found.problems[told:]]))
    return found


def say(line: str) -> None:
    """Print a line at once: a long run is watched."""
    print(line, flush=True)


def main() -> int:
    """0 when every change was kept, no run was called dirty for it, and every leftover was seen; else 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--holds", type=int, default=100)
    parser.add_argument("--leftovers", type=int, default=len(STEPS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, default=-1, help="this hold alone")
    asked = parser.parse_args()
    holds = range(asked.only, asked.only + 1) if asked.only >= 0 else range(asked.holds)
    found = go(holds, range(0 if asked.only >= 0 else asked.leftovers), asked.seed, say)
    for line in [*found.problems, str(found)]:
        print(line)
    return int(bool(found.problems))


if __name__ == "__main__":
    sys.exit(main())
