"""Problems of the controller, on a real lab: no room for its record, a host that refuses, a second signal, another user's run."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stormdesk.cli import runbooks
from stormdesk.cli.api import Chaos
from stormdesk.cli.commands import holder_of, watch
from stormdesk.cli.show import Mode, Show
from stormdesk.core.errors import ConnectionLost, ExitCode, HostError, RefusedError, TransportError, UsageError
from stormdesk.core.outcome import Outcome
from stormdesk.core.safety import Allow
from stormdesk.desk.acts import perform
from stormdesk.faults.disk.disk_full import DiskFull
from stormdesk.infra import dialing, existing
from stormdesk.run import gameday, runner
from stormdesk.run.hostrun import HostRun
from stormdesk.run.record import load
from stormdesk.run.request import Request, one
from tests.support.desk import Desk, eventually
from tests.support.invoking import ROOT
from tests.support.zygote import Process

pytestmark = pytest.mark.lab

TWO = "ops,trader-b"
QUICK = ("--allow-unsteady", "--percent", "60")


@pytest.fixture(autouse=True)
def tidy(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("STORMDESK_RUNS", str(desk.runs))
    yield
    left = [process for process in desk.started if process.poll() is None]
    for process in left:
        process.kill()
        process.communicate()
    desk.started.clear()
    if left or desk.records():
        desk.invoke("chaos.halt")
        desk.invoke("chaos.halt", "--lift")


def filled(desk: Desk, host: str) -> str:
    return desk.sh(host, "ls -A /var/lib/trading | grep stormdesk")


# ---- C30 --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def small(
    desk: Desk, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """runs/ on a file system of 2 MiB."""
    monkeypatch.setenv("TMPDIR", str(tmp_path_factory.mktemp("elsewhere")))
    before, desk.runs = desk.runs, tmp_path
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", tmp_path], check=True, timeout=10)
    try:
        yield tmp_path
    finally:
        desk.runs = before
        subprocess.run(["umount", "-l", tmp_path], check=True, timeout=10)


def fill(folder: Path) -> None:
    with contextlib.suppress(OSError), (folder / "ballast").open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)


def test_case_C30_a_run_whose_disk_fills_up_heals_and_ends_with_its_true_verdict(desk: Desk, small: Path) -> None:
    process = desk.start("chaos.disk-full", "--host", "ops", "--for", "5s", *QUICK)
    run = desk.run_started_by(process)
    desk.reached(run, "S6.hold")
    fill(small)
    done = desk.end(process, 0)
    assert (done["verdict"], done["residue"]) == ("held", "clean")
    assert "is incomplete: No space left on device" in done["incomplete"]
    assert load(Path(done["run_dir"]))[-1]["event"] == "verdict"
    assert Path(done["report"]).is_file()
    assert desk.records() == {}


def test_case_C30_a_run_whose_folder_goes_and_whose_reader_too(desk: Desk, small: Path) -> None:
    """runs/ becomes read-only and standard output is a full disk: the exit code is the run's."""
    with open("/dev/full", "w") as full:
        env = {**os.environ, "STORMDESK_RUNS": str(small), "STORMDESK_ENV": desk.name}
        words = ["chaos.disk-full", "--host", "ops", "--for", "5s", *QUICK, "--json"]
        process = subprocess.Popen(
            [sys.executable, "-m", "invoke", *words], cwd=ROOT, env=env, stdout=full, stderr=full
        )
    run = desk.run_started_by(process)
    desk.reached(run, "S6.hold")
    (small / run).rename(small / "gone")
    (small / run).write_text("a file")
    assert process.wait(60) == 0
    assert desk.records() == {}
    assert filled(desk, "ops") == ""


@pytest.mark.parametrize("task", ["chaos.disk-full", "gameday"])
def test_case_C30_a_run_without_room_for_its_record_is_refused(desk: Desk, small: Path, task: str) -> None:
    fill(small)
    words = (
        ("chaos.disk-full", "--host", "ops", "--for", "5s")
        if task != "gameday"
        else ("gameday.run", "--runbook", "disk-full-trader")
    )
    refused = desk.invoke(*words, code=3)
    assert "No space left on device" in refused["stderr"]
    assert len(refused["error"].splitlines()) == 1
    assert filled(desk, "ops") == ""


def test_case_C30_revert_recover_and_checks_work_without_room(desk: Desk, small: Path) -> None:
    process = desk.start("chaos.disk-full", "--host", "ops", "--for", "120s", *QUICK)
    desk.reached(desk.run_started_by(process), "S6.hold")
    process.kill()
    process.communicate()
    fill(small)
    assert "Traceback" not in desk.invoke("check.steady")["stderr"]
    done = desk.invoke("chaos.recover")
    assert [found["clean"] for found in done["runs"]] == [True]
    assert filled(desk, "ops") == ""


# ---- C33 --------------------------------------------------------------------------------------------------------------


def request(desk: Desk, hosts: str = TWO) -> Request:
    return Request(one(DiskFull(), tuple(hosts.split(",")), 3.0), allow=Allow(unsteady=True, role_share=100))  # type: ignore[arg-type]


def run(desk: Desk, hosts: str = TWO) -> Any:
    inventory = existing.load(desk.name)
    return runner.run(request(desk, hosts), inventory, dialing.dialer(inventory), Show(Mode.LINES, sys.stderr), watch)


def spoil(desk: Desk, monkeypatch: pytest.MonkeyPatch, step: str, how: str) -> None:
    """The second host says no, for a reason of its own, when its turn comes."""
    act = getattr(HostRun, step)

    def spoiled(self: HostRun, *given: Any, **values: Any) -> None:
        if self.host == "trader-b":
            eventually(lambda: step == "arm" or filled(desk, "ops"), 20)  # the first has the fault in
            if how == "lost":
                raise ConnectionLost("trader-b: the connection was lost")
            desk.sh("trader-b", "mkdir -p /run/stormdesk; echo enough >/run/stormdesk/halt")
        act(self, *given, **values)

    monkeypatch.setattr(HostRun, step, spoiled)


@pytest.fixture
def lever(desk: Desk) -> Iterator[None]:
    yield
    desk.invoke("chaos.halt", "--lift")


@pytest.mark.usefixtures("lever")
@pytest.mark.parametrize("how", ["halted", "lost"])
def test_case_C33_a_refusal_after_another_host_was_injected_is_stopped_early(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    spoil(desk, monkeypatch, "inject", how)
    outcome = run(desk)
    assert (outcome.exit_code, outcome.residue) == (ExitCode.STOPPED, "clean")
    assert how in outcome.why
    assert (filled(desk, "ops"), filled(desk, "trader-b")) == ("", "")


@pytest.mark.usefixtures("lever")
@pytest.mark.parametrize(("how", "error"), [("halted", RefusedError), ("lost", TransportError)])
def test_case_C33_a_refusal_before_any_inject_touched_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, how: str, error: type[Exception]
) -> None:
    spoil(desk, monkeypatch, "arm", how)
    with pytest.raises(error, match=how) as caught:
        run(desk)
    assert caught.value.exit_code == ExitCode.REFUSED  # type: ignore[attr-defined]
    assert desk.records() == {}


@pytest.mark.usefixtures("lever")
def test_case_C33_in_a_users_test_it_is_not_a_refusal(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    spoil(desk, monkeypatch, "inject", "halted")
    with Chaos(env=desk.name) as chaos:
        allow = Allow(role_share=100)  # type: ignore[arg-type]
        with pytest.raises(HostError, match="halted"), chaos.inject("disk-full", host=TWO, hold_s=3, allow=allow):
            pytest.fail("the body does not run")
    assert (filled(desk, "ops"), filled(desk, "trader-b")) == ("", "")


def game_day(desk: Desk, folder: Path, *steps: str) -> Outcome:
    book = folder / "two.md"
    book.write_text("# two\n```yaml\ntitle: Two\nrto_s: 60\nsteps:\n" + "".join(f"  - {step}\n" for step in steps) + "```\n")
    inventory = existing.load(desk.name)
    show = Show(Mode.LINES, sys.stderr)
    return gameday.run(runbooks.read(book), str(book), inventory, dialing.dialer(inventory), show, 0, watch, perform, holder_of)


def test_case_C33_a_game_day_with_an_impossible_step_touches_nothing(desk: Desk, tmp_path: Path) -> None:
    before = set(desk.runs.iterdir())
    with pytest.raises(UsageError, match=r"^step second: --path /etc"):
        game_day(
            desk, tmp_path,
            "{id: first, fault: disk-full, host: ops, for: 3s, percent: 60%}",
            "{id: second, fault: disk-full, host: ops, for: 3s, path: /etc}",
        )  # fmt: skip
    assert set(desk.runs.iterdir()) == before


def test_case_C33_a_game_day_whose_second_step_is_refused_when_it_is_due_is_stopped_early(
    desk: Desk, tmp_path: Path
) -> None:
    """An operator takes away, in the hold of the first step, what the second is aimed at."""
    desk.sh("ops", "mkdir -p /var/lib/trading/two; echo text >/var/lib/trading/two/file")
    taking = threading.Timer(3, lambda: desk.sh("ops", "rm -r /var/lib/trading/two"))
    taking.start()
    outcome = game_day(
        desk, tmp_path,
        "{id: first, fault: disk-full, host: ops, for: 6s, percent: 60%}",
        "{id: second, fault: file-corrupt, host: ops, for: 3s, path: /var/lib/trading/two/file}",
    )  # fmt: skip
    taking.join()
    assert (outcome.exit_code, outcome.residue) == (ExitCode.STOPPED, "clean"), outcome
    assert "/var/lib/trading/two/file" in outcome.why


# ---- C35 --------------------------------------------------------------------------------------------------------------


def test_case_C35_recover_leaves_a_living_run_of_somebody_else_alone(desk: Desk, tmp_path: Path) -> None:
    process = desk.start("chaos.disk-full", "--host", "ops", "--for", "100s", *QUICK)
    run_id = desk.run_started_by(process)
    desk.reached(run_id, "S6.hold")
    here, desk.runs = desk.runs, tmp_path  # another folder, as on another machine
    try:
        done = desk.invoke("chaos.recover")
        assert (done["runs"], done["left_alone"]) == ([], [["ops", run_id]])
        people = subprocess.run(
            [sys.executable, "-m", "invoke", "chaos.recover"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True,
            env={**os.environ, "STORMDESK_RUNS": str(tmp_path), "STORMDESK_ENV": desk.name},
        ).stdout  # fmt: skip
        assert people.count(run_id) == 1
        assert "heals by itself in" in people
        assert "chaos.recover --all" in people
        assert filled(desk, "ops")
        done = desk.invoke("chaos.recover", "--all")
        assert [(found["run"], found["clean"]) for found in done["runs"]] == [(run_id, True)]
        assert filled(desk, "ops") == ""
    finally:
        desk.runs = here
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)


def test_case_C35_recover_finishes_what_a_controller_left_that_is_known_to_be_dead(desk: Desk) -> None:
    process = desk.start("chaos.disk-full", "--host", "ops", "--for", "100s", *QUICK)
    run_id = desk.run_started_by(process)
    desk.reached(run_id, "S6.hold")
    process.kill()
    process.communicate()
    done = desk.invoke("chaos.recover")
    assert [(found["run"], found["clean"]) for found in done["runs"]] == [(run_id, True)]
    assert filled(desk, "ops") == ""


def test_case_C35_recover_finishes_what_nobody_guards(desk: Desk, tmp_path: Path) -> None:
    process = desk.start("chaos.disk-full", "--host", "ops", "--for", "100s", *QUICK)
    desk.reached(desk.run_started_by(process), "S6.hold")
    process.kill()
    process.communicate()
    desk.sh("ops", "pkill -KILL -f watchdog.sh; sleep 0.3; pkill -KILL -f watchdog.sh; true")
    here, desk.runs = desk.runs, tmp_path
    try:
        assert [found["clean"] for found in desk.invoke("chaos.recover")["runs"]] == [True]
    finally:
        desk.runs = here
    assert filled(desk, "ops") == ""


# ---- C36 --------------------------------------------------------------------------------------------------------------


HANGS = "/usr/local/sbin/tc"  # comes first in the PATH of the host's scripts


@pytest.fixture
def held(desk: Desk) -> Iterator[tuple[Process, str]]:
    """A run that is in on two hosts, which will hang when they look whether they are clean."""
    process = desk.start("chaos.disk-full", "--host", TWO, "--for", "90s", *QUICK, "--allow-role-share", "100")
    run_id = desk.run_started_by(process)
    desk.reached(run_id, "S6.hold")
    for host in TWO.split(","):
        desk.sh(host, f"printf '#!/bin/sh\\nexec sleep 33\\n' >{HANGS}; chmod 755 {HANGS}")
    try:
        yield process, run_id
    finally:
        for host in TWO.split(","):
            desk.sh(host, f"rm -f {HANGS}; pkill -f '^sleep 33'; true")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=90)
        desk.invoke("chaos.recover", "--all")


def both_look(desk: Desk) -> None:
    for host in TWO.split(","):
        eventually(lambda host=host: desk.sh(host, "pgrep -f '^sleep 33' || true"), 60)


@pytest.mark.parametrize(("first", "second"), [(signal.SIGINT, signal.SIGINT), (signal.SIGTERM, signal.SIGHUP)])
def test_case_C36_a_second_signal_leaves_two_hosts_at_once(
    desk: Desk, held: tuple[Process, str], first: signal.Signals, second: signal.Signals
) -> None:
    process, run_id = held
    process.send_signal(first)
    both_look(desk)
    began = time.monotonic()
    process.send_signal(second)
    done = desk.end(process, 5, within_s=30)
    assert time.monotonic() - began < 15  # the hosts take twice as long, and more
    assert "ops, trader-b will heal by itself within" in done["why"]
    assert done["next"] == f"invoke chaos.revert --run {run_id}"


def test_case_C36_a_revert_of_two_hosts_is_left_at_once_too(desk: Desk, held: tuple[Process, str]) -> None:
    """The first signal waits for both, the second for neither."""
    _, run_id = held
    revert = desk.start("chaos.revert", "--all")
    both_look(desk)
    revert.send_signal(signal.SIGINT)
    time.sleep(1)
    assert revert.poll() is None  # a revert is not cut in two
    began = time.monotonic()
    revert.send_signal(signal.SIGTERM)
    out, err = revert.communicate(timeout=30)
    assert (revert.returncode, time.monotonic() - began < 15) == (5, True), (out, err)
    assert f"{run_id} on ops within" in json.loads(out)["error"]
    assert "Traceback" not in err
