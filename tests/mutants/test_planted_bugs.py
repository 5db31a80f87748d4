"""Bugs planted into the services of a stack that trades: each is caught by the invariants that its patch names. The
table, bug x invariant, is printed at the end of the run; tests/mutants/test_situations.py has its rows without a bug.

Several workers share the bugs. The rows of the table meet in pytest's cache, where the last test finds them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path

import pytest

from stormdesk.core.model import Verdict
from stormdesk.evidence.take_cut import load
from stormdesk.infra import dialing, existing
from stormdesk.ssh.pool import Pool
from tests.e2e.stack_harness import ROOT, Stack
from tests.mutants import table
from tests.mutants.bench import bench
from tests.mutants.patching import FOLDER, Mutant, copy, mutants
from tests.mutants.situations import SITUATIONS
from tests.skips import cannot

pytestmark = [pytest.mark.lab, pytest.mark.skipif(not ROOT, reason="disks and servers of a layer need root")]
ALL = mutants(FOLDER / "live")
BUGS = [bug for bug in ALL if bug.situation in SITUATIONS]
ENGINE_BUGS = [bug for bug in ALL if bug.situation == "fault-run"]
# Why the same bugs, and no others, may fail two invariants.
EQUAL: dict[frozenset[str], str] = {}
RUN = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))  # the same in all workers of one run
OTHERS_S = 300.0  # for the bugs that other workers are at


def kept(request: pytest.FixtureRequest) -> pytest.Cache | None:
    """What outlives a worker; None with -p no:cacheprovider."""
    return getattr(request.config, "cache", None)


@pytest.fixture
def ended(request: pytest.FixtureRequest, bug: Mutant) -> Iterator[None]:
    """Says, however the test ends, that this bug's row comes no more."""
    yield
    if cache := kept(request):
        cache.set(f"planted-bugs/{bug.name}/ended", RUN)


def note(
    request: pytest.FixtureRequest, record_property: Callable[[str, object], None], bug: Mutant, row: table.Row
) -> None:
    if cache := kept(request):
        cache.set(f"planted-bugs/{bug.name}/row", row)
    record_property(table.TOPIC, table.HEAD)
    record_property(table.TOPIC, table.line(bug.name, bug.situation, row))


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
@pytest.mark.usefixtures("ended")
def test_a_planted_bug_is_caught(
    shared: Stack,
    bug: Mutant,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    record_property: Callable[[str, object], None],
) -> None:
    copy(tmp_path)
    bug.plant(tmp_path)
    with bench(shared, tmp_path) as stack:
        row, said = table.judged(SITUATIONS[bug.situation](stack))
    note(request, record_property, bug, row)
    missed = [name for name in bug.caught_by if row.get(name) is not Verdict.VIOLATED]
    assert not missed, f"{bug.name} ({bug.says}) is not caught by {', '.join(missed)}; found: {said}"


@pytest.mark.parametrize("bug", ENGINE_BUGS, ids=lambda bug: bug.name)
@pytest.mark.usefixtures("ended")
def test_a_planted_bug_of_the_engine_is_caught(
    lab: str,
    bug: Mutant,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    record_property: Callable[[str, object], None],
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
    row, _ = table.judged(load(cuts_taken[0]))
    note(request, record_property, bug, row)
    assert [name for name in bug.caught_by if row.get(name) is not Verdict.VIOLATED] == [], said.stdout


def rows(request: pytest.FixtureRequest) -> dict[str, table.Row]:
    """The whole table: rows of this run, once the others are through, and for bugs that were not asked for those of the
    last run that had them. Skips when one is nowhere."""
    planted = [item for item in request.session.items if "ended" in getattr(item, "fixturenames", ())]
    asked = [item.callspec.params["bug"].name for item in planted]
    cache, until = kept(request), time.monotonic() + OTHERS_S
    if cache is None:
        cannot("pytest's cache is off")
    while left := [name for name in asked if cache.get(f"planted-bugs/{name}/ended", "") != RUN]:
        assert time.monotonic() < until, f"not within {OTHERS_S:g} s: {left}"
        time.sleep(0.5)
    found = {bug.name: cache.get(f"planted-bugs/{bug.name}/row", None) for bug in ALL}
    if None in found.values():
        cannot("the whole table was not asked for")
    return {bug: {name: Verdict(word) for name, word in row.items()} for bug, row in found.items()}


def test_no_two_invariants_fail_on_the_same_bugs(
    request: pytest.FixtureRequest, record_property: Callable[[str, object], None]
) -> None:
    found: dict[str, set[str]] = defaultdict(set)
    for bug, row in rows(request).items():
        for name, verdict in row.items():
            if verdict is Verdict.VIOLATED:
                found[name].add(bug)
    for one, other in combinations(sorted(found), 2):
        if found[one] == found[other]:
            reason = EQUAL.get(frozenset({one, other}), "")
            record_property(table.TOPIC, f"{one} and {other} fail on the same bugs: {reason}")
            assert reason, f"{one} and {other} fail on the same bugs: {sorted(found[one])}"
