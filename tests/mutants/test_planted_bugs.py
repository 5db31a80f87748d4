"""Bugs planted into the services of a stack that trades: each is caught by the invariants that its patch names, and by
none of them when it is not there. The table, bug x invariants, is printed at the end of the run."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path

import pytest

from stormdesk import cut as cuts
from stormdesk.drive.cut import load
from stormdesk.drive.pool import Pool
from stormdesk.infra import dialing, existing
from stormdesk.invariants import JUDGES, applicable
from stormdesk.model import Verdict
from tests.e2e.stack_harness import ROOT, Stack
from tests.mutants.bench import bench, servers
from tests.mutants.patching import FOLDER, Mutant, copy, mutants
from tests.mutants.situations import SITUATIONS

pytestmark = [pytest.mark.lab, pytest.mark.skipif(not ROOT, reason="disks and servers of a layer need root")]
ALL = mutants(FOLDER / "live")
BUGS = [bug for bug in ALL if bug.situation in SITUATIONS]
ENGINE_BUGS = [bug for bug in ALL if bug.situation == "fault-run"]
NO_BUG = "(no bug)"
SIGNS = {Verdict.HELD: ".", Verdict.VIOLATED: "F", Verdict.UNKNOWN: "?"}
# Why the same bugs, and no others, may fail two invariants.
EQUAL: dict[frozenset[str], str] = {}
Row = dict[str, Verdict]
TABLE: dict[tuple[str, str], Row] = {}


@pytest.fixture(scope="module")
def shared() -> Iterator[Stack]:
    with servers() as stack:
        yield stack


def judged(cut: cuts.Cut) -> tuple[Row, list[str]]:
    """Every judge that the cut calls for: its verdict, and what is wrong."""
    # On loopback there is no host that something could be left on.
    results = [JUDGES[name](cut) for name in applicable(cut) if name != "I-13" or cut.residue]
    said = [f"{result.id} {result.verdict}: {result.why}" for result in results if result.verdict is not Verdict.HELD]
    return {result.id: result.verdict for result in results}, said


def note(record_property: Callable[[str, object], None], name: str, situation: str, row: Row) -> None:
    TABLE[name, situation] = row
    cells = " ".join(f"{SIGNS[row[judge]] if judge in row else '-':<4}" for judge in JUDGES)
    record_property("bug x invariant", f"{name:<28} {situation:<15} {cells}")


def test_the_table_has_its_head(record_property: Callable[[str, object], None]) -> None:
    names = " ".join(f"{judge.removeprefix('I-'):<4}" for judge in JUDGES)
    record_property(
        "bug x invariant", f"{' bug':<28} {'situation':<15} {names}   F violated, . held, ? unknown, - not asked"
    )


@pytest.mark.parametrize("situation", SITUATIONS)
def test_without_a_bug_every_invariant_holds(
    shared: Stack, situation: str, record_property: Callable[[str, object], None]
) -> None:
    with bench(shared, FOLDER.parents[1]) as stack:
        row, said = judged(SITUATIONS[situation](stack))
    note(record_property, NO_BUG, situation, row)
    assert said == []


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_a_planted_bug_is_caught(
    shared: Stack, bug: Mutant, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    copy(tmp_path)
    bug.plant(tmp_path)
    with bench(shared, tmp_path) as stack:
        row, said = judged(SITUATIONS[bug.situation](stack))
    note(record_property, bug.name, bug.situation, row)
    missed = [name for name in bug.caught_by if row.get(name) is not Verdict.VIOLATED]
    assert not missed, f"{bug.name} ({bug.says}) is not caught by {', '.join(missed)}; found: {said}"


@pytest.mark.parametrize("bug", ENGINE_BUGS, ids=lambda bug: bug.name)
def test_a_planted_bug_of_the_engine_is_caught(
    lab: str, bug: Mutant, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    copy(tmp_path)
    bug.plant(tmp_path)
    words = ["--host", "trader-b", "--size", "8MiB", "--for", "2s", "--env", lab]
    command = [sys.executable, "-m", "invoke", "--search-root", str(tmp_path), "chaos.disk-full", *words]
    said = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    inventory = existing.load(lab)
    with Pool(inventory, dialing.dialer(inventory)) as pool:
        pool.run("trader-b", ("sh", "-c", "rm -rf /run/stormdesk /dev/shm/stormdesk"), 10)
    cuts_taken = list(tmp_path.glob("runs/r-*/outputs/cut"))
    assert cuts_taken, said.stdout + said.stderr
    row, _ = judged(load(cuts_taken[0]))
    note(record_property, bug.name, bug.situation, row)
    assert [name for name in bug.caught_by if row.get(name) is not Verdict.VIOLATED] == [], said.stdout


def test_no_two_invariants_fail_on_the_same_bugs(record_property: Callable[[str, object], None]) -> None:
    if len(TABLE) < len(ALL) + len(SITUATIONS):
        pytest.skip("only with the whole table")
    found: dict[str, set[str]] = defaultdict(set)
    for (bug, _), row in TABLE.items():
        for name, verdict in row.items():
            if verdict is Verdict.VIOLATED:
                found[name].add(bug)
    for one, other in combinations(sorted(found), 2):
        if found[one] == found[other]:
            reason = EQUAL.get(frozenset({one, other}), "")
            record_property("bug x invariant", f"{one} and {other} fail on the same bugs: {reason}")
            assert reason, f"{one} and {other} fail on the same bugs: {sorted(found[one])}"
