"""The pytest plugin as users run it: a project of its own, a trading lab and real faults; also when a test fails."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stormdesk.core.errors import StormdeskError
from stormdesk.infra import dialing, existing
from stormdesk.run.operate import ask
from stormdesk.ssh.pool import Pool
from tests.support import zygote
from tests.support.desk import eventually

pytestmark = pytest.mark.lab

GOOD = """
import random
import pytest

pytestmark = [pytest.mark.chaos, pytest.mark.tier1]


def link(chaos):
    return chaos.pool.run("trader-b", ("cat", "/sys/class/net/eth2/operstate"), 10).stdout.strip()


def test_a_cut(chaos, recovery_timer, state_validator):
    state_validator()
    assert link(chaos) == "up"
    with chaos.inject("adapter-down", host="trader-b", network="core", hold_s=1) as fault:
        assert link(chaos) == "down"
        assert fault.evidence["trader-b"]
        assert 0 < fault.left_s() <= 16
    assert link(chaos) == "up"
    assert (fault.outcome.exit_code, fault.outcome.residue) == (0, "clean")
    assert fault.folder.joinpath("report.html").is_file()
    assert recovery_timer(budget_s=30) < 30
    assert recovery_timer(lambda: link(chaos) == "up", budget_s=30, stable_s=0.5) < 30
    with pytest.raises(AssertionError, match="not well again within 0 s: ZeroDivisionError"):
        chaos.recovered(lambda: 1 / 0, budget_s=0, stable_s=0, from_t=0)
    state_validator("residue")


def test_a_broken_state_is_named(chaos, state_validator):
    chaos.pool.run("ops", ("supervisorctl", "stop", "prober"), 20)
    try:
        with pytest.raises(AssertionError, match="services ops violated: not running: prober"):
            state_validator()
    finally:
        chaos.pool.run("ops", ("supervisorctl", "start", "prober"), 20)


def test_two_at_once_and_the_control_link(chaos):
    with chaos.inject("disk-full", host="feed", percent="50%", hold_s=0):
        with chaos.inject("adapter-down", host="feed", network="mgmt", hold_s=3) as cut:
            pass
    assert cut.outcome.exit_code == 0
    assert cut.evidence["feed"]


def test_refusals(chaos):
    from stormdesk.core.errors import RefusedError, UsageError

    for fault, parameters, says in (
        ("disk-fool", {}, "Did you mean: disk-full"),
        ("disk-full", {"percents": 5}, "disk-full has no percents"),
        ("disk-full", {"percent": 101}, "101: must be 1..100"),
        ("disk-full", {"host": "ttrader-a"}, "Did you mean: trader-a"),
    ):
        with pytest.raises(UsageError, match=says), chaos.inject(fault, **{"host": "feed", **parameters}):
            raise ZeroDivisionError
    with pytest.raises(RefusedError, match="at most 33 %"), chaos.inject("disk-full", host="role:trader"):
        raise ZeroDivisionError


def test_seeds(seed_random):
    print("drew", seed_random.random(), random.random())
    assert 0
"""
RAISES = """
def test_a_body_that_fails(chaos):
    with chaos.inject("disk-full", host="feed", percent=50, hold_s=60):
        assert chaos.pool.run("feed", ("true",), 10).code == 1
"""
DIRTY = """
def test_a_host_that_is_not_as_it_was(chaos):
    with chaos.inject("disk-full", host="feed", percent=50, hold_s=0):
        chaos.pool.run("feed", ("mount", "-o", "remount,ro", "/var/lib/trading"), 10)
"""
SLOW = """
import time

def test_a_body_that_lasts_longer_than_the_host_waits(chaos):
    with chaos.inject("disk-full", host="feed", percent=50, hold_s=0, ttl_s=5):
        time.sleep(7)
"""
KILLED = """
import time

def test_killed(chaos):
    with chaos.inject("disk-full", host="feed", percent=50, hold_s=0, ttl_s=6):
        open("in", "w").close()
        time.sleep(60)
"""


class Project:
    """A folder with tests that are not ours, and pytest in it."""

    def __init__(self, folder: Path, lab: str) -> None:
        self.folder = folder
        keep = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
        self.environ = {**keep, "STORMDESK_ENV": lab, "STORMDESK_RUNS": str(folder / "runs")}
        inventory = existing.load(lab)
        self.pool = Pool(inventory, dialing.dialer(inventory))

    def start(self, text: str, *words: str) -> subprocess.Popen[str]:
        (self.folder / "test_own.py").write_text(text)
        argv = [sys.executable, "-m", "pytest", "--strict-markers", "-W", "error", "-p", "no:cacheprovider", *words]
        return subprocess.Popen(
            argv, cwd=self.folder, env=self.environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def run(self, text: str, *words: str) -> str:
        process = self.start(text, *words)
        try:
            return process.communicate(timeout=120)[0]
        finally:
            process.kill()

    def invoke(self, *words: str) -> None:
        zygote.run(*words, env=self.environ, within_s=60).check_returncode()

    def left(self) -> list[str]:
        """What of ours is on the hosts."""
        found = []
        for host, answer in ask(self.pool).items():
            assert not isinstance(answer, StormdeskError)
            found += [f"{host} {record.run_id} {record.state}" for record in answer.records]
        files = self.pool.run("feed", ("find", "/var/lib/trading", "-name", ".stormdesk-*"), 10).stdout
        return [*found, *files.split()]


@pytest.fixture
def project(lab: str, tmp_path: Path) -> Iterator[Project]:
    project = Project(tmp_path, lab)
    with project.pool:
        yield project
        assert project.left() == []


def test_a_project_with_tests_of_its_own(project: Project) -> None:
    said = project.run(GOOD, "--chaos-seed", "7")
    assert "1 failed, 4 passed" in said
    drew = re.search("drew .*", said)
    assert "seeded by --chaos-seed 7" in said
    again = project.run(GOOD, "--chaos-seed", "7", "-k", "seeds")
    assert drew
    assert drew[0] in again
    assert drew[0] not in project.run(GOOD, "--chaos-seed", "8", "-k", "seeds")


def test_a_body_that_fails_is_healed_at_once(project: Project) -> None:
    began = time.monotonic()
    said = project.run(RAISES)
    assert "1 failed" in said
    assert "assert 0 == 1" in said
    assert time.monotonic() - began < 45  # not the hold of 60 s
    assert "residue=clean" in said


def test_a_revert_that_is_not_verified_fails_the_test(project: Project) -> None:
    said = project.run(DIRTY)
    project.pool.run("feed", ("mount", "-o", "remount,rw", "/var/lib/trading"), 10)
    assert "1 failed" in said
    assert re.search(r"^E +stormdesk\.core\.errors\.ResidueError: ", said, re.MULTILINE)
    assert "/.stormdesk-" in said
    run = re.search(r"r-\d{8}-\d{4}-\w{6}", said)
    assert run
    project.invoke("chaos.revert", "--run", run[0])


def test_a_fault_that_ends_before_the_body_fails_the_test(project: Project) -> None:
    said = project.run(SLOW)
    assert "1 failed" in said
    assert "was reverted by watchdog" in said


def test_hosts_heal_when_pytest_is_killed(project: Project) -> None:
    process = project.start(KILLED)
    eventually((project.folder / "in").exists, 60)
    process.kill()
    process.communicate()
    assert any("/.stormdesk-" in line for line in project.left())
    eventually(lambda: all(line.endswith(" REVERTED") for line in project.left()), 15)
    assert len(project.left()) == 1
    project.invoke("chaos.recover")


def test_an_environment_that_is_not_there_is_one_line(project: Project) -> None:
    said = project.run(RAISES, "--chaos-env", "nope")
    assert "no environment 'nope'" in said
    assert "Traceback" not in said
